//! The discovery curve: distinct calls over time. Where it is level, nothing new comes.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    text::Line,
    widgets::Paragraph,
};

use super::{Picture, Theme, text::clock};
use crate::live::model::Container;

/// One line's part of a step from one height to another, both in eighths of a line: a line, and nothing below it.
fn step(look: Theme, row: u64, before: u64, now: u64) -> &'static str {
    // The line in which a height's end lies.
    let top = |eighths: u64| eighths.saturating_sub(1) / 8;
    if row == top(now) && now > 0 {
        look.bar(now - row * 8)
    } else if row < top(now) && row >= top(before) && before < now {
        look.bar(8)
    } else {
        " "
    }
}

impl Picture<'_> {
    pub(super) fn curve(&self, frame: &mut Frame, area: Rect, container: &Container) {
        let look = self.look;
        let times = container.discoveries();
        let now = self.model.status.now.max(times.last().copied().unwrap_or(self.model.start));
        let quiet = match container.newest {
            Some(newest) if container.facts.is_running => format!(" nothing new for {} ", clock(newest, now)),
            _ => " distinct calls ".to_owned(),
        };
        let block = look.block(quiet, false);
        let inner = block.inner(area);
        frame.render_widget(block, area);
        let Some(first) = times.first().copied() else { return };
        let most = times.len();
        let [plot, axis] = inner.layout(&Layout::vertical([Constraint::Min(0), Constraint::Length(1)]));
        let labels = u16::try_from(most.to_string().len()).unwrap_or(0) + 1;
        let [label, plot] =
            plot.layout(&Layout::horizontal([Constraint::Length(labels), Constraint::Min(0)]));
        frame.render_widget(Paragraph::new(most.to_string()).style(look.dim()), label);
        let all = now.duration_since(first).as_nanos().max(1);
        let width = i128::from(plot.width.max(1));
        // What was seen by the end of each column.
        let counts: Vec<usize> = (1..=width)
            .map(|column| {
                times.partition_point(|time| time.duration_since(first).as_nanos() * width <= all * column)
            })
            .collect();
        let height = u64::from(plot.height);
        let lines: Vec<Line> = (0..height)
            .rev()
            .map(|row| {
                let eighths = |count: usize| (count as u64 * height * 8).div_ceil(most as u64);
                let before = [0].into_iter().chain(counts.iter().copied());
                let bars = before
                    .zip(&counts)
                    .map(|(before, count)| step(look, row, eighths(before), eighths(*count)));
                Line::styled(bars.collect::<String>(), look.graph())
            })
            .collect();
        frame.render_widget(Paragraph::new(lines), plot);
        let (from, to) = (clock(self.model.start, first), clock(self.model.start, now));
        let gap = usize::from(inner.width).saturating_sub(from.len() + to.len() + usize::from(labels));
        let text = format!("{:labels$}{from}{:gap$}{to}", "", "", labels = usize::from(labels));
        frame.render_widget(Paragraph::new(text).style(look.dim()), axis);
    }
}
