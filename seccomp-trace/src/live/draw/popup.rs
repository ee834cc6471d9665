//! What lies over the picture: help, a call's details, what COMMAND printed, what was said.

use anstream::adapter::strip_str;
use ratatui::{
    Frame,
    layout::{Constraint, Rect},
    text::{Line, Span},
    widgets::{Clear, Paragraph, Wrap},
};

use super::{
    Picture,
    calls::origins,
    text::{clean, grouped, since},
};
use crate::live::{
    model::{Call, Container, Syscall},
    output::Output,
    view::{Popup, View, name},
};

/// A key, in the help and in the last line.
pub struct Key {
    pub keys: &'static str,
    /// In the last line; empty: not there.
    pub short: &'static str,
    pub meaning: &'static str,
    pub needs_output: bool,
}

const fn key(keys: &'static str, short: &'static str, meaning: &'static str) -> Key {
    Key { keys, short, meaning, needs_output: false }
}

/// All keys, the most wanted ones first.
pub const KEYS: [Key; 17] = [
    key("q", "end", "end, and write the profiles; a COMMAND gets SIGTERM"),
    key("?", "help", "this help"),
    key("Tab", "table", "the other table"),
    key("/", "filter", "filter the table by a part of its names"),
    key("s", "sort", "sort the table in the next order"),
    key("Enter", "details", "all that is known of a call; from a container, to its calls"),
    key("d", "denied", "show what was denied alone"),
    key("p", "pause", "pause the picture; tracing goes on"),
    key("w", "write", "write the container's profile as it stands"),
    Key { keys: "o", short: "output", meaning: "what COMMAND has printed", needs_output: true },
    key("m", "messages", "what seccomp-trace has said"),
    key("j k", "", "down and up, as the arrows"),
    key("g G", "", "to the first row and to the last, as Home and End"),
    key("PgDn PgUp", "", "a page down and up"),
    key("Esc", "", "close this, or take a filter back"),
    key("Ctrl-C", "", "as in a terminal: COMMAND's, where there is one; twice quits at once"),
    key("Ctrl-Z", "", "stop; fg goes on, and nothing is lost meanwhile"),
];

impl Picture<'_> {
    pub(super) fn popup(
        &self,
        frame: &mut Frame,
        area: Rect,
        view: &mut View,
        popup: Popup,
        container: Option<&Container>,
    ) {
        let look = self.look;
        let height = usize::from(area.height.saturating_sub(4));
        let (title, lines) = match popup {
            Popup::Help => ("keys", help(view, self)),
            Popup::Details => {
                let call = container.and_then(|container| view.call(container));
                ("the call", call.map_or_else(Vec::new, |(syscall, call)| self.details(syscall, call)))
            }
            Popup::Output => {
                ("what COMMAND has printed", output(view.output.as_ref(), height + view.scroll, self))
            }
            Popup::Messages => {
                let said = self.model.messages.iter().map(|said| clean(said, look));
                // Within the frame, and a column free on each side.
                let width = usize::from(area.width.saturating_sub(8)).max(1);
                ("what seccomp-trace has said", said.flat_map(|said| wrapped(&said, width)).collect())
            }
        };
        let is_tail = matches!(popup, Popup::Output | Popup::Messages);
        let widest = lines.iter().map(Line::width).max().unwrap_or(0).max(title.len() + 4);
        let width = if is_tail {
            area.width.saturating_sub(4)
        } else {
            u16::try_from(widest + 4).unwrap_or(u16::MAX)
        };
        let rows = if is_tail {
            area.height.saturating_sub(2)
        } else {
            u16::try_from(lines.len() + 2).unwrap_or(u16::MAX)
        };
        let place = area
            .centered(Constraint::Length(width.min(area.width)), Constraint::Length(rows.min(area.height)));
        let block = look.block(format!(" {title} "), true);
        let room = usize::from(block.inner(place).height);
        view.scroll = view.scroll.min(lines.len().saturating_sub(room));
        // What grows at its end shows that first, and scrolls back.
        let skipped = if is_tail { lines.len().saturating_sub(room + view.scroll) } else { view.scroll };
        let lines: Vec<_> = lines.into_iter().skip(skipped).take(room).collect();
        frame.render_widget(Clear, place);
        let text = Paragraph::new(lines).block(block);
        frame.render_widget(
            if popup == Popup::Details { text.wrap(Wrap { trim: false }) } else { text },
            place,
        );
    }

    fn details(&self, syscall: Syscall, call: &Call) -> Vec<Line<'static>> {
        let look = self.look;
        let mut lines = Vec::new();
        let mut say = |what: &'static str, text: String| {
            lines.push(Line::from(vec![Span::styled(format!(" {what:<12}"), look.dim()), Span::raw(text)]));
        };
        say("syscall", name(syscall));
        say("ABI", syscall.0.to_string());
        say("number", syscall.1.to_string());
        match call.count {
            Some(count) => {
                say("calls", grouped(count));
                say("calls/s", grouped(call.rate));
            }
            None if call.is_made => say("calls", "not counted".to_owned()),
            None if call.is_denied() => say("calls", "none: only denied".to_owned()),
            None => say("calls", "none: only answered by a supervisor".to_owned()),
        }
        say("first", format!("{} after the start, {:.3}", since(self.model.start, call.found), call.found));
        if call.is_made {
            let comm = call.first.as_ref().map(|first| clean(&first.comm, look));
            say("by", comm.unwrap_or_else(|| "nobody knows: the live event was lost".to_owned()));
            let origins = origins(call, ", ");
            say("origin", if origins.is_empty() { "the end tells".to_owned() } else { origins });
        }
        for denial in &call.denials {
            let by = denial.by().words().map(|words| format!(", {words}")).unwrap_or_default();
            let often = if denial.count == 1 {
                "once".to_owned()
            } else {
                format!("{} times", grouped(denial.count))
            };
            let what = if denial.supervised { "answered" } else { "denied" };
            say(what, format!("{often}: {}{by}", denial.action));
            say(
                "",
                format!(
                    "first {} after the start, by {}",
                    since(self.model.start, denial.first_seen),
                    clean(&denial.comm, look)
                ),
            );
        }
        lines
    }
}

/// A text in lines of at most so many columns.
fn wrapped(text: &str, width: usize) -> Vec<Line<'static>> {
    let mut lines = vec![String::new()];
    for word in text.split_inclusive(' ') {
        let is_full =
            |line: &str, more: &str| Span::raw(line).width() + Span::raw(more.trim_end()).width() > width;
        if lines.last().is_some_and(|line| !line.is_empty() && is_full(line, word)) {
            lines.push(String::new());
        }
        // One that is longer than a line goes on in the next.
        let mut char_bytes = [0; 4];
        for char in word.chars() {
            let char = char.encode_utf8(&mut char_bytes);
            if lines.last().is_some_and(|line| !line.is_empty() && is_full(line, char)) {
                lines.push(String::new());
            }
            if let Some(line) = lines.last_mut() {
                line.push_str(char);
            }
        }
    }
    lines.into_iter().map(Line::from).collect()
}

fn help(view: &View, picture: &Picture) -> Vec<Line<'static>> {
    let keys = KEYS.iter().filter(|key| !key.needs_output || view.output.is_some());
    let line = |key: &Key| {
        Line::from(vec![
            Span::styled(format!(" {:<10}", key.keys), picture.look.head()),
            Span::raw(format!("{} ", key.meaning)),
        ])
    };
    keys.map(line).collect()
}

fn output(output: Option<&Output>, lines: usize, picture: &Picture) -> Vec<Line<'static>> {
    let Some(output) = output else { return Vec::new() };
    if output.is_empty() {
        return vec![Line::styled("nothing yet", picture.look.dim())];
    }
    let shown = output
        .tail(lines)
        .into_iter()
        .map(|line| Line::from(clean(&strip_str(&line).to_string(), picture.look)));
    let dropped = output.dropped();
    let first = (dropped > 0).then(|| {
        Line::styled(format!("(the first {} bytes are not kept)", grouped(dropped)), picture.look.dim())
    });
    first.into_iter().chain(shown).collect()
}
