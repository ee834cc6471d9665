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
    recording::Origin,
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
            let waits = "Nothing to show yet: a container appears here when it runs.";
            frame.render_widget(Paragraph::new(waits).wrap(Wrap { trim: true }).block(block), area);
            return;
        };
        let rows = view.call_rows(container);
        let dot = look.sign(" · ", " | ");
        let title = format!(
            " {}: {} distinct calls{dot}{}{} ",
            clean(&container.facts.name, look),
            container.distinct(),
            view.call_sort.title(),
            filter(&view.calls.filter, view, self)
        );
        let block = look.block(title, has_keys);
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
        if let Some(denial) = call.denials.first() {
            let also = if call.is_made { "also denied" } else { "DENIED" };
            let times = look.sign("×", "x");
            return Span::styled(
                format!("{also} {} {}{times}", denial.answer, call.times_denied()),
                look.bad(),
            );
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
