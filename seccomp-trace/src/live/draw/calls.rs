//! The calls of the chosen container.

use jiff::SignedDuration;
use ratatui::{
    Frame,
    layout::{Alignment, Constraint, Rect},
    text::Span,
    widgets::{Paragraph, Wrap},
};

use super::{
    Picture,
    containers::filter,
    table::{self, Column, Place, number, text},
    text::{clean, short, since},
};
use crate::{
    live::{
        model::{Call, Container, HISTORY, Syscall},
        view::{Focus, View, name},
    },
    recording::{DeniedBy, Origin},
};

/// How long a call is new.
const NEW: SignedDuration = SignedDuration::from_secs(5);
/// Seconds in a line's graph.
const SPARKLINE: usize = 12;
/// The least width of the table that has a column for the ABI; elsewhere the name has it, where it is another one.
const HAS_ABI: u16 = 94;

const COLUMNS: [Column; 9] = [
    text("SYSCALL", Constraint::Fill(1), 0),
    text("ABI", Constraint::Length(6), HAS_ABI),
    number("CALLS", 7, 0),
    number("CALLS/S", 7, 0),
    text("LAST SECONDS", Constraint::Length(SPARKLINE as u16), 70),
    number("FIRST", 7, 54),
    text("BY", Constraint::Length(15), 84),
    text("ORIGIN", Constraint::Length(11), 104),
    Column { head: "", width: Constraint::Fill(1), from: 0, alignment: Alignment::Left },
];

impl Picture<'_> {
    pub(super) fn calls(
        &self,
        frame: &mut Frame,
        area: Rect,
        view: &mut View,
        container: Option<&Container>,
    ) {
        let look = self.look;
        let has_keys = view.focus == Focus::Calls;
        let Some(container) = container else {
            let block = look.block(" calls ".to_owned(), has_keys);
            let waits = if self.model.containers.is_empty() {
                "Nothing to show yet: a container appears here when it runs."
            } else {
                "No container is like that: Esc takes the filter back."
            };
            frame.render_widget(Paragraph::new(waits).wrap(Wrap { trim: true }).block(block), area);
            return;
        };
        let rows = view.call_rows(container);
        let dot = look.sign(" · ", " | ");
        let title = format!(
            " {} distinct calls of {}{dot}{}{} ",
            container.distinct(),
            clean(&container.facts.name, look),
            view.call_sort.title(),
            filter(&view.calls.filter, view, self)
        );
        let block = look.block(title, has_keys);
        if rows.is_empty() && !container.calls.is_empty() {
            let filtered = "No call is like that: Esc takes the filter back.";
            frame.render_widget(Paragraph::new(filtered).wrap(Wrap { trim: true }).block(block), area);
            return;
        }
        let has_abi = block.inner(area).width >= HAS_ABI;
        let place = Place { area, block, look, has_keys };
        table::draw(frame, place, &COLUMNS, &mut view.calls, &rows, |syscall, call| {
            self.cells(syscall, call, has_abi)
        });
    }

    fn cells(&self, (abi, number): Syscall, call: &Call, has_abi: bool) -> Vec<Span<'static>> {
        let look = self.look;
        let dash = look.sign("–", "-");
        let counted = |number: u64| call.count.map_or_else(|| dash.to_owned(), |_| short(number));
        let history = call.history.get(HISTORY - SPARKLINE..).unwrap_or_default();
        let comm = match (&call.first, call.denials.first()) {
            (Some(first), _) => clean(&first.comm, look),
            (None, Some(denial)) => clean(&denial.comm, look),
            (None, None) => dash.to_owned(),
        };
        let title = match name((abi, number)) {
            name if has_abi || abi.is_native() => name,
            name => format!("{abi} {name}"),
        };
        let style = if call.is_runtimes_only() { look.dim() } else { look.head() };
        vec![
            Span::styled(title, style),
            Span::raw(abi.as_str()),
            Span::raw(counted(call.count.unwrap_or(0))),
            Span::raw(counted(call.rate)),
            Span::styled(look.sparkline(history), look.graph()),
            Span::raw(since(self.model.start, call.found)),
            Span::raw(comm),
            Span::raw(origins(call, ",")),
            self.tag(call),
        ]
    }

    fn tag(&self, call: &Call) -> Span<'static> {
        let look = self.look;
        if let Some((by, answers, times)) = call.answered() {
            let (denied, answered) =
                if call.is_made { ("also denied", "also answered") } else { ("DENIED", "ANSWERED") };
            // The details say it at length.
            let said = match by {
                DeniedBy::Container => format!("{denied} {answers}"),
                DeniedBy::Program => format!("{denied} {answers} by own filter"),
                DeniedBy::Engine => format!("{answered} by its engine"),
                DeniedBy::Supervisor => format!("{answered} by own supervisor"),
            };
            let style = if by == DeniedBy::Supervisor { look.head() } else { look.bad() };
            // The count first: where there is no room, words are cut, and no number.
            return Span::styled(format!("{}{} {said}", short(times), look.sign("×", "x")), style);
        }
        if self.model.status.now.duration_since(call.found) < NEW {
            return Span::styled("NEW", look.fresh());
        }
        if call.is_runtimes_only() { Span::styled("runtime only", look.dim()) } else { Span::raw("") }
    }
}

/// Who made a call, in the recording's words.
pub(super) fn origins(call: &Call, separator: &str) -> String {
    let word = |origin: &Origin| match origin {
        Origin::Runtime => "runtime",
        Origin::Application => "application",
        Origin::Joined => "joined",
    };
    // The application's is the one that matters; the details have them all.
    match separator {
        "," => call
            .origins
            .iter()
            .max_by_key(|origin| **origin == Origin::Application)
            .map(word)
            .unwrap_or("")
            .to_owned(),
        _ => call.origins.iter().map(word).collect::<Vec<_>>().join(separator),
    }
}
