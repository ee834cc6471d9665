//! What a person does with the picture: what is chosen, sorted, filtered, opened. Keys in, wishes out; nothing here
//! draws, and nothing waits.

mod keys;
mod rows;

use ratatui::{layout::Rect, widgets::TableState};
pub use rows::{CallSort, ContainerSort, name};

use super::{
    model::{ContainerId, Model, Syscall},
    output::Output,
};

/// What a key asks of the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// End, and write.
    End,
    /// As a terminal's Ctrl-C.
    Interrupt,
    /// Stop until the shell continues us.
    Suspend,
    /// Write this container's profile as it stands.
    Write(ContainerId),
    /// This container is looked at: its denials are to be counted.
    Choose(ContainerId),
}

/// Which table the keys are for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Focus {
    /// The containers.
    #[default]
    Containers,
    /// The chosen one's calls.
    Calls,
}

/// What lies over the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Popup {
    /// The keys.
    Help,
    /// All that is known of the chosen call.
    Details,
    /// What COMMAND has printed.
    Output,
    /// What was said.
    Messages,
}

/// One table's choice, its filter, and its place on the screen.
#[derive(Clone, Debug)]
pub struct Table<Key> {
    /// The chosen row; none: the first one.
    pub chosen: Option<Key>,
    /// Part of the names that are shown.
    pub filter: String,
    /// The rows as they were drawn last, and which of them are on the screen.
    pub state: TableState,
    /// Where its rows were drawn last.
    pub area: Rect,
}

impl<Key> Default for Table<Key> {
    fn default() -> Self {
        Self { chosen: None, filter: String::new(), state: TableState::default(), area: Rect::default() }
    }
}

/// See the module.
#[derive(Debug)]
pub struct View {
    /// What the picture was when it was paused.
    pub frozen: Option<Model>,
    /// Which table the keys are for.
    pub focus: Focus,
    /// The containers.
    pub containers: Table<ContainerId>,
    /// The chosen container's calls.
    pub calls: Table<Syscall>,
    /// In which order the containers stand.
    pub container_sort: ContainerSort,
    /// In which order the calls stand.
    pub call_sort: CallSort,
    /// Only what was denied is shown.
    pub denied_only: bool,
    /// The filter is being typed.
    pub is_typing: bool,
    /// What lies over the picture.
    pub popup: Option<Popup>,
    /// Lines that are scrolled away in it.
    pub scroll: usize,
    /// What COMMAND prints, where that is kept.
    pub output: Option<Output>,
}

impl View {
    /// Nothing chosen yet.
    #[must_use]
    pub fn new(output: Option<Output>) -> Self {
        Self {
            frozen: None,
            focus: Focus::default(),
            containers: Table::default(),
            calls: Table::default(),
            container_sort: ContainerSort::default(),
            call_sort: CallSort::default(),
            denied_only: false,
            is_typing: false,
            popup: None,
            scroll: 0,
            output,
        }
    }
}

#[cfg(test)]
mod tests;
