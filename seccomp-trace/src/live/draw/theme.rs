//! Styles and signs. Only the terminal's own two colours, red, green and magenta are used, which read on light and on dark
//! backgrounds; without colours the same is said in bold, dim and reverse.

use ratatui::{
    style::{Color, Modifier, Style},
    symbols::border,
    widgets::Block,
};

/// What the terminal can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Theme {
    /// It has colours, and its user wants them.
    pub color: bool,
    /// It shows more than ASCII.
    pub unicode: bool,
}

const ASCII_BORDER: border::Set = border::Set {
    top_left: "+",
    top_right: "+",
    bottom_left: "+",
    bottom_right: "+",
    vertical_left: "|",
    vertical_right: "|",
    horizontal_top: "-",
    horizontal_bottom: "-",
};

impl Theme {
    fn colored(self, color: Color, modifier: Modifier) -> Style {
        let style = Style::new().add_modifier(modifier);
        if self.color { style.fg(color) } else { style }
    }

    /// What a filter has denied, and what is lost.
    pub fn bad(self) -> Style {
        self.colored(Color::Red, Modifier::BOLD)
    }

    /// What is new.
    pub fn fresh(self) -> Style {
        self.colored(Color::Green, Modifier::BOLD)
    }

    /// Graphs.
    pub fn graph(self) -> Style {
        self.colored(Color::Magenta, Modifier::empty())
    }

    /// What matters less.
    pub fn dim(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// Heads and titles.
    pub fn head(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// The chosen row of the table that has the keys, and of the other one.
    pub fn chosen(self, has_keys: bool) -> Style {
        let modifier = if has_keys { Modifier::REVERSED } else { Modifier::BOLD.union(Modifier::UNDERLINED) };
        Style::new().add_modifier(modifier)
    }

    /// A frame, brighter where it has the keys.
    pub fn block<'a>(self, title: String, has_keys: bool) -> Block<'a> {
        let set = if self.unicode { border::ROUNDED } else { ASCII_BORDER };
        let style = if has_keys { Style::new() } else { self.dim() };
        Block::bordered().border_set(set).border_style(style).title(title).title_style(self.head())
    }

    /// One sign or its ASCII stand-in.
    pub fn sign(self, unicode: &'static str, ascii: &'static str) -> &'static str {
        if self.unicode { unicode } else { ascii }
    }

    /// A bar of so many eighths of a line's height.
    pub fn bar(self, eighths: u64) -> &'static str {
        const BARS: [&str; 9] = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
        const ASCII: [&str; 9] = [" ", ".", ".", ":", ":", "=", "=", "#", "#"];
        let bars = if self.unicode { BARS } else { ASCII };
        usize::try_from(eighths).ok().and_then(|eighths| bars.get(eighths)).copied().unwrap_or(bars[8])
    }

    /// Numbers as bars of one line, with a gap to the line above; what is not zero is never empty.
    pub fn sparkline(self, numbers: &[u32]) -> String {
        let most = u64::from(numbers.iter().copied().max().unwrap_or(0).max(1));
        numbers.iter().map(|number| self.bar((u64::from(*number) * 7).div_ceil(most))).collect()
    }
}
