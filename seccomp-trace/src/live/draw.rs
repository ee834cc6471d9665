//! The picture.
use super::{model::Model, view::View};
/// a
pub struct About {
    /// a
    pub title: String,
    /// a
    pub end: String,
    /// a
    pub max_counted: usize,
    /// a
    pub has_command: bool,
}
/// a
#[derive(Clone, Copy)]
pub struct Look {
    /// a
    pub color: bool,
    /// a
    pub unicode: bool,
}
/// a
pub fn draw(_: &mut ratatui::Frame, _: &mut View, _: &Model, _: &About, _: Look) {}
