//! What the keys and the mouse do.

use ratatui::{
    crossterm::event::{
        Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
    },
    layout::Position,
};

use super::{Action, Focus, Popup, Table, View};
use crate::live::model::Model;

/// Rows that the mouse wheel moves by.
const WHEEL: isize = 3;

impl View {
    /// Takes what was typed or clicked. Some of it the session has to do.
    pub fn event(&mut self, event: &Event, model: &Model) -> Option<Action> {
        let before = self.container(self.shown(model)).map(|(id, _)| id);
        let action = match event {
            Event::Key(key) if key.kind != KeyEventKind::Release => self.key(*key, model),
            Event::Mouse(mouse) => {
                self.mouse(*mouse, model);
                None
            }
            Event::Paste(text) if self.is_typing => {
                self.filter().push_str(text.lines().next().unwrap_or_default());
                None
            }
            _ => None,
        };
        let after = self.container(self.shown(model)).map(|(id, _)| id);
        if before != after {
            self.calls.chosen = None;
            *self.calls.state.offset_mut() = 0;
        }
        action.or_else(|| after.filter(|_| before != after).map(Action::Choose))
    }

    fn key(&mut self, key: KeyEvent, model: &Model) -> Option<Action> {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return match key.code {
                KeyCode::Char('c') => Some(Action::Interrupt),
                KeyCode::Char('z') => Some(Action::Suspend),
                KeyCode::Char('u') if self.is_typing => {
                    self.filter().clear();
                    None
                }
                KeyCode::Char('d') => self.go(self.page(), model),
                KeyCode::Char('u') => self.go(-self.page(), model),
                _ => None,
            };
        }
        if self.is_typing {
            self.type_filter(key.code);
            return None;
        }
        match key.code {
            KeyCode::Char('q') => return Some(Action::End),
            KeyCode::Esc if self.popup.is_some() => self.popup = None,
            KeyCode::Esc => self.take_filter_back(model),
            KeyCode::Char('?' | 'h') | KeyCode::F(1) => self.toggle(Popup::Help),
            KeyCode::Char('o') if self.output.is_some() => self.toggle(Popup::Output),
            KeyCode::Char('m') => self.toggle(Popup::Messages),
            KeyCode::Enter if self.popup.is_none() && self.focus == Focus::Containers => {
                self.focus = Focus::Calls;
            }
            KeyCode::Enter => self.toggle(Popup::Details),
            KeyCode::Tab | KeyCode::BackTab => {
                self.focus = match self.focus {
                    Focus::Containers => Focus::Calls,
                    Focus::Calls => Focus::Containers,
                };
            }
            KeyCode::Char('/') => {
                self.popup = None;
                self.is_typing = true;
            }
            KeyCode::Char('s') => match self.focus {
                Focus::Containers => self.container_sort = self.container_sort.next(),
                Focus::Calls => self.call_sort = self.call_sort.next(),
            },
            KeyCode::Char('p' | ' ') => {
                self.frozen = if self.frozen.is_some() { None } else { Some(model.clone()) };
            }
            KeyCode::Char('d') => self.denied_only = !self.denied_only,
            KeyCode::Char('w') => {
                return self.container(self.shown(model)).map(|(id, _)| Action::Write(id));
            }
            KeyCode::Down | KeyCode::Char('j') => return self.go(1, model),
            KeyCode::Up | KeyCode::Char('k') => return self.go(-1, model),
            KeyCode::PageDown => return self.go(self.page(), model),
            KeyCode::PageUp => return self.go(-self.page(), model),
            KeyCode::Home | KeyCode::Char('g') => return self.go(isize::MIN, model),
            KeyCode::End | KeyCode::Char('G') => return self.go(isize::MAX, model),
            _ => {}
        }
        None
    }

    fn toggle(&mut self, popup: Popup) {
        self.popup = if self.popup == Some(popup) { None } else { Some(popup) };
        self.scroll = 0;
    }

    fn type_filter(&mut self, key: KeyCode) {
        match key {
            KeyCode::Enter => self.is_typing = false,
            KeyCode::Esc => {
                self.is_typing = false;
                self.filter().clear();
            }
            KeyCode::Backspace => {
                self.filter().pop();
            }
            KeyCode::Char(char) => self.filter().push(char),
            _ => {}
        }
    }

    /// The filter of the table that the keys are for.
    pub fn filter(&mut self) -> &mut String {
        match self.focus {
            Focus::Containers => &mut self.containers.filter,
            Focus::Calls => &mut self.calls.filter,
        }
    }

    /// Takes one filter back: first one that leaves nothing, then that of the table that the keys are for, then any other.
    fn take_filter_back(&mut self, model: &Model) {
        let has_containers = !self.container_rows(self.shown(model)).is_empty();
        let has_calls =
            self.container(self.shown(model)).is_some_and(|(_, shown)| !self.call_rows(shown).is_empty());
        let has_own = !self.filter().is_empty();
        let Self { containers, calls, denied_only, .. } = self;
        if !has_containers && !containers.filter.is_empty() {
            containers.filter.clear();
        } else if has_containers && !has_calls && !calls.filter.is_empty() {
            calls.filter.clear();
        } else if !(has_containers && has_calls) && *denied_only {
            *denied_only = false;
        } else if has_own {
            self.filter().clear();
        } else if !containers.filter.is_empty() || !calls.filter.is_empty() {
            containers.filter.clear();
            calls.filter.clear();
        } else {
            *denied_only = false;
        }
    }

    /// The rows of a page.
    fn page(&self) -> isize {
        let area = match self.focus {
            Focus::Containers => self.containers.area,
            Focus::Calls => self.calls.area,
        };
        isize::try_from(area.height).unwrap_or(1).max(1)
    }

    /// Moves by so many rows, or scrolls what lies over them.
    fn go(&mut self, by: isize, model: &Model) -> Option<Action> {
        if let Some(popup) = self.popup {
            // What grows shows its end first. Drawing holds it within what there is.
            let is_tail = matches!(popup, Popup::Output | Popup::Messages);
            let by = if is_tail { by.saturating_neg() } else { by };
            self.scroll = self.scroll.saturating_add_signed(by);
            return None;
        }
        let shown = self.frozen.as_ref().unwrap_or(model);
        match self.focus {
            Focus::Containers => {
                let rows: Vec<_> = self.container_rows(shown).into_iter().map(|(id, _)| id).collect();
                self.containers.go(&rows, by);
            }
            Focus::Calls => {
                let rows = self.container(shown).map(|(_, container)| self.call_rows(container));
                let rows: Vec<_> = rows.into_iter().flatten().map(|(syscall, _)| syscall).collect();
                self.calls.go(&rows, by);
            }
        }
        None
    }

    fn mouse(&mut self, mouse: MouseEvent, model: &Model) {
        let at = Position::new(mouse.column, mouse.row);
        let focus = if self.calls.area.contains(at) {
            Focus::Calls
        } else if self.containers.area.contains(at) {
            Focus::Containers
        } else {
            self.focus
        };
        match mouse.kind {
            MouseEventKind::ScrollDown => {
                self.focus = focus;
                self.go(WHEEL, model);
            }
            MouseEventKind::ScrollUp => {
                self.focus = focus;
                self.go(-WHEEL, model);
            }
            MouseEventKind::Down(MouseButton::Left) if self.popup.is_some() => self.popup = None,
            MouseEventKind::Down(MouseButton::Left) => {
                self.focus = focus;
                self.click(at, model);
            }
            _ => {}
        }
    }

    fn click(&mut self, at: Position, model: &Model) {
        let shown = self.frozen.as_ref().unwrap_or(model);
        match self.focus {
            Focus::Containers => {
                let rows: Vec<_> = self.container_rows(shown).into_iter().map(|(id, _)| id).collect();
                self.containers.click(&rows, at);
            }
            Focus::Calls => {
                let rows = self.container(shown).map(|(_, container)| self.call_rows(container));
                let rows: Vec<_> = rows.into_iter().flatten().map(|(syscall, _)| syscall).collect();
                self.calls.click(&rows, at);
            }
        }
    }
}

impl<Key: Copy + PartialEq> Table<Key> {
    /// Chooses the row so many further on; the last one where there are not as many.
    fn go(&mut self, rows: &[Key], by: isize) {
        let now = self.chosen.and_then(|key| rows.iter().position(|row| *row == key)).unwrap_or(0);
        let next = now.saturating_add_signed(by).min(rows.len().saturating_sub(1));
        self.chosen = rows.get(next).copied();
    }

    fn click(&mut self, rows: &[Key], at: Position) {
        if self.area.contains(at) {
            let row = usize::from(at.y - self.area.y) + self.state.offset();
            self.chosen = rows.get(row).copied().or(self.chosen);
        }
    }
}
