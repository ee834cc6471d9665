//! A table of which only the rows on the screen are made.

use ratatui::{
    Frame,
    layout::{Alignment, Constraint, Rect},
    text::{Line, Span, Text},
    widgets::{Block, Cell, Row, Table as Widget},
};

use super::Theme;
use crate::live::view::Table;

/// A column: its head, its width, the least width of the table that has it, and on which side its text stands.
#[derive(Clone, Copy)]
pub struct Column {
    pub head: &'static str,
    pub width: Constraint,
    pub from: u16,
    pub alignment: Alignment,
}

/// A column of text.
pub const fn text(head: &'static str, width: Constraint, from: u16) -> Column {
    Column { head, width, from, alignment: Alignment::Left }
}

/// A column of numbers.
pub const fn number(head: &'static str, width: u16, from: u16) -> Column {
    Column { head, width: Constraint::Length(width), from, alignment: Alignment::Right }
}

/// Where a table is drawn, and how.
pub struct Place<'a> {
    pub area: Rect,
    pub block: Block<'a>,
    pub look: Theme,
    pub has_keys: bool,
}

/// Draws rows, made by `cells` with a cell for each of `columns`, so that the chosen one is on the screen.
pub fn draw<Key: Copy + PartialEq, Item: Copy>(
    frame: &mut Frame,
    place: Place,
    columns: &[Column],
    table: &mut Table<Key>,
    rows: &[(Key, Item)],
    cells: impl Fn(Key, Item) -> Vec<Span<'static>>,
) {
    let Place { area, block, look, has_keys } = place;
    let inner = block.inner(area);
    // Below the head.
    table.area = Rect { y: inner.y.saturating_add(1), height: inner.height.saturating_sub(1), ..inner };
    let height = usize::from(table.area.height);
    let chosen = table.chosen.and_then(|key| rows.iter().position(|(row, _)| *row == key)).unwrap_or(0);
    let last = rows.len().saturating_sub(height);
    let offset =
        table.state.offset().min(last).clamp((chosen + 1).saturating_sub(height).min(chosen), chosen);
    *table.state.offset_mut() = offset;
    table.state.select((!rows.is_empty()).then_some(chosen));
    let is_shown: Vec<bool> = columns.iter().map(|column| inner.width >= column.from).collect();
    let keep = |all: Vec<Span<'static>>| {
        let aligned = all.into_iter().zip(columns).zip(&is_shown).filter(|(_, shown)| **shown);
        let cell = |((span, column), _): ((Span<'static>, &Column), &bool)| {
            Cell::from(Text::from(Line::from(span).alignment(column.alignment)))
        };
        Row::new(aligned.map(cell).collect::<Vec<_>>())
    };
    let visible = rows.iter().enumerate().skip(offset).take(height).map(|(at, (key, item))| {
        let row = keep(cells(*key, *item));
        if at == chosen { row.style(look.chosen(has_keys)) } else { row }
    });
    let heads = keep(columns.iter().map(|column| Span::raw(column.head)).collect()).style(look.head());
    let widths = columns.iter().zip(&is_shown).filter(|(_, shown)| **shown).map(|(column, _)| column.width);
    frame.render_widget(Widget::new(visible, widths).header(heads).block(block), area);
}
