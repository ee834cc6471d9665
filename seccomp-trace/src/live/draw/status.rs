//! The lines above and below the tables.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    text::{Line, Span},
    widgets::Paragraph,
};

use super::{
    Picture, Theme,
    popup::KEYS,
    text::{clean, clock, short},
};
use crate::live::{
    model::Container,
    view::{Focus, View},
};

/// The characters of the title that are shown, at most.
const TITLE: usize = 40;

impl Picture<'_> {
    /// How the session is doing, in as many lines as it needs, two at most.
    pub(super) fn status(&self, width: u16) -> Vec<Line<'static>> {
        let look = self.look;
        let status = &self.model.status;
        let rate: u64 = self.model.containers.values().map(|container| container.rate).sum();
        let mut parts = Vec::new();
        if self.is_paused {
            parts.push(Span::styled("PAUSED", look.bad()));
        }
        parts.push(Span::styled(cut(&clean(&self.about.title, look), look), look.head()));
        parts.push(Span::raw(clock(self.model.start, status.now)));
        parts.push(Span::raw(format!("{} calls/s", short(rate))));
        parts.push(Span::raw(format!("{} events", short(self.model.events))));
        parts.push(match status.lost {
            0 => Span::raw("0 lost"),
            lost => Span::styled(format!("{} live events lost, no call", short(lost)), look.bad()),
        });
        if let Some(cost) = status.cost {
            parts.push(Span::raw(format!(
                "tracing {:.1} % of a CPU, {:.0} ns a run",
                cost.share * 100.0,
                cost.run
            )));
        }
        let dot = look.sign(" · ", " | ");
        let mut lines = vec![Line::default()];
        for part in parts {
            let line = lines.last_mut().map_or(0, |line| line.width());
            let is_full = line > 0 && line + dot.chars().count() + part.width() > usize::from(width);
            if is_full && lines.len() == 2 {
                break;
            }
            if is_full {
                lines.push(Line::default());
            }
            if let Some(line) = lines.last_mut() {
                if line.width() > 0 {
                    line.push_span(Span::styled(dot, look.dim()));
                }
                line.push_span(part);
            }
        }
        lines
    }

    /// What happens at the end, what was said last, and the keys. The keys alone where there is no room.
    pub(super) fn footer(&self, frame: &mut Frame, area: Rect, view: &View, container: Option<&Container>) {
        let look = self.look;
        let places =
            container.map(|container| container.facts.files.as_str()).filter(|files| !files.is_empty());
        let places = clean(places.unwrap_or(&self.about.end), look);
        let end = Line::from(vec![
            Span::styled("at the end: ", look.dim()),
            Span::raw(format!("{places} {} written", if places.contains(" and ") { "are" } else { "is" })),
        ]);
        let said = self.model.messages.back().map(|said| clean(said, look)).unwrap_or_default();
        let last = if view.is_typing { typed(view, self) } else { keys(area.width, view, self) };
        let lines = [end, Line::from(said), last];
        let rows: [Rect; 3] = match area.height {
            3 => area.layout(&Layout::vertical([Constraint::Length(1); 3])),
            _ => [Rect::default(), Rect::default(), area],
        };
        for (line, row) in lines.into_iter().zip(rows) {
            frame.render_widget(Paragraph::new(line), row);
        }
    }
}

/// A title of a sensible length.
fn cut(title: &str, look: Theme) -> String {
    if title.chars().count() <= TITLE {
        return title.to_owned();
    }
    title.chars().take(TITLE - 3).chain(look.sign("…", "...").chars()).collect()
}

fn typed(view: &View, picture: &Picture) -> Line<'static> {
    let filter = match view.focus {
        Focus::Containers => &view.containers.filter,
        Focus::Calls => &view.calls.filter,
    };
    Line::from(vec![
        Span::styled(format!("/{}", clean(filter, picture.look)), picture.look.head()),
        Span::styled(" ", picture.look.chosen(true)),
        Span::styled("  Enter keeps it, Esc takes it back", picture.look.dim()),
    ])
}

/// As many of the keys as there is room for, help first.
fn keys(width: u16, view: &View, picture: &Picture) -> Line<'static> {
    let look = picture.look;
    let mut line = Line::default();
    for key in KEYS.iter().filter(|key| !key.short.is_empty()) {
        if key.needs_output && view.output.is_none() {
            continue;
        }
        let wide = key.keys.chars().count() + key.short.chars().count() + 3;
        if line.width() + wide > usize::from(width) {
            break;
        }
        line.push_span(Span::styled(key.keys, look.head()));
        line.push_span(Span::styled(format!(" {}  ", key.short), look.dim()));
    }
    line
}
