//! The picture: functions from what is known and chosen to what stands on the screen. All text from containers goes through
//! [`text::clean`]; all styles and signs come from [`theme`].

mod calls;
mod containers;
mod curve;
mod popup;
mod status;
mod table;
mod text;
mod theme;

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
};
pub use theme::Theme;

use super::{model::Model, view::View};

/// What the session says about itself.
#[derive(Clone, Debug)]
pub struct About {
    /// What is done: `record`, `run: nginx`.
    pub title: String,
    /// Where results go at the end, where no container is chosen.
    pub end: String,
    /// Containers that can be counted at a time.
    pub max_counted: usize,
    /// There is a COMMAND.
    pub has_command: bool,
}

/// From this width on the curve stands beside the calls.
const WIDE: u16 = 110;
/// From this height of the calls on it stands below them.
const HIGH: u16 = 22;
const CURVE: (u16, u16) = (32, 9);

/// Draws everything, and notes in `view` where the rows are, for the mouse and for pages.
pub fn draw(frame: &mut Frame, view: &mut View, model: &Model, about: &About, look: Theme) {
    let frozen = view.frozen.take();
    let shown = frozen.as_ref().unwrap_or(model);
    let picture = Picture { model: shown, about, look, is_paused: frozen.is_some() };
    picture.draw(frame, view);
    view.frozen = frozen;
}

/// What every part draws from.
struct Picture<'a> {
    model: &'a Model,
    about: &'a About,
    look: Theme,
    is_paused: bool,
}

impl Picture<'_> {
    fn draw(&self, frame: &mut Frame, view: &mut View) {
        let area = frame.area();
        let rows = view.container_rows(self.model);
        let chosen = view.container(self.model);
        let status = self.status(area.width);
        let footer = if area.height > 12 { 3 } else { 1 };
        let status_height =
            u16::try_from(status.len()).unwrap_or(1).min(area.height.saturating_sub(footer) / 4);
        let left = area.height.saturating_sub(footer + status_height);
        let wanted = u16::try_from(rows.len()).unwrap_or(u16::MAX).max(1).saturating_add(3);
        let [top, upper, lower, bottom] = area.layout(&Layout::vertical([
            Constraint::Length(status_height),
            Constraint::Length(if left < 9 { 0 } else { wanted.min((left / 3).max(4)) }),
            Constraint::Min(0),
            Constraint::Length(footer),
        ]));
        frame.render_widget(ratatui::widgets::Paragraph::new(status), top);
        self.containers(frame, upper, view, &rows);
        let (calls, curve) = split(lower);
        self.calls(frame, calls, view, chosen.map(|(_, container)| container));
        if let (Some(curve), Some((_, container))) = (curve, chosen) {
            self.curve(frame, curve, container);
        }
        self.footer(frame, bottom, view, chosen.map(|(_, container)| container));
        if let Some(popup) = view.popup {
            self.popup(frame, area, view, popup, chosen.map(|(_, container)| container));
        }
    }
}

/// The calls, and the curve where there is room for it.
fn split(area: Rect) -> (Rect, Option<Rect>) {
    let split = if area.width >= WIDE && area.height >= CURVE.1 {
        Layout::horizontal([Constraint::Min(0), Constraint::Length(CURVE.0)])
    } else if area.height >= HIGH {
        Layout::vertical([Constraint::Min(0), Constraint::Length(CURVE.1)])
    } else {
        return (area, None);
    };
    let [calls, curve] = area.layout(&split);
    (calls, Some(curve))
}

#[cfg(test)]
mod tests;
