//! The containers.

use ratatui::{
    Frame,
    layout::{Constraint, Rect},
    text::Span,
};

use super::{
    Picture,
    table::{self, Column, Place, number, text},
    text::{clean, clock, short},
};
use crate::live::{
    model::{Container, ContainerId},
    view::{Focus, View},
};

const COLUMNS: [Column; 9] = [
    text("CONTAINER", Constraint::Fill(3), 0),
    FLAWS,
    text("IMAGE", Constraint::Fill(3), 76),
    text("ENGINE", Constraint::Length(10), 64),
    number("CALLS/S", 7, 34),
    number("CALLS", 7, 70),
    number("DISTINCT", 8, 26),
    number("DENIED", 6, 17),
    number("NOTHING NEW", 11, 48),
];

/// As wide as what is in it, and not there where nothing is.
const FLAWS: Column = text("RECORDING", Constraint::Length(0), u16::MAX);
const FLAWS_AT: usize = 1;

/// What makes a container's recording less than exact.
fn flaws(container: &Container) -> String {
    container.facts.flaws.iter().map(|flaw| flaw.word()).collect::<Vec<_>>().join(" ")
}

/// With the column of flaws where a container has any: it needs the room of others.
fn columns(rows: &[(ContainerId, &Container)]) -> [Column; COLUMNS.len()] {
    let mut columns = COLUMNS;
    let widest = rows.iter().map(|(_, container)| flaws(container).len()).max().unwrap_or(0);
    if widest > 0 {
        let width = u16::try_from(widest.max(FLAWS.head.len())).unwrap_or(u16::MAX);
        for column in columns.iter_mut().skip(FLAWS_AT + 1) {
            column.from = column.from.saturating_add(width).saturating_add(1);
        }
        columns[FLAWS_AT] = Column { width: Constraint::Length(width), from: 0, ..FLAWS };
    }
    columns
}

impl Picture<'_> {
    pub(super) fn containers(
        &self,
        frame: &mut Frame,
        area: Rect,
        view: &mut View,
        rows: &[(ContainerId, &Container)],
    ) {
        let look = self.look;
        let has_keys = view.focus == Focus::Containers;
        let block = look.block(self.containers_title(view, rows.len()), has_keys);
        let now = self.model.status.now;
        let dash = look.sign("–", "-");
        let cells = |_, container: &Container| {
            let facts = &container.facts;
            let counted = |number: u64| container.total.map_or_else(|| dash.to_owned(), |_| short(number));
            let denied = container.denied();
            let quiet = match (facts.is_running, container.newest) {
                (false, _) => "ended".to_owned(),
                (true, Some(newest)) => clock(newest, now),
                (true, None) => dash.to_owned(),
            };
            let name = Span::raw(clean(&facts.name, look));
            vec![
                if facts.is_running { name } else { name.style(look.dim()) },
                Span::styled(flaws(container), look.bad()),
                Span::raw(clean(&facts.image, look)),
                Span::raw(clean(&facts.engine, look)),
                Span::raw(counted(container.rate)),
                Span::raw(counted(container.total.unwrap_or(0))),
                Span::raw(container.distinct().to_string()),
                Span::styled(denied.to_string(), if denied > 0 { look.bad() } else { look.dim() }),
                Span::raw(quiet),
            ]
        };
        let place = Place { area, block, look, has_keys };
        table::draw(frame, place, &columns(rows), &mut view.containers, rows, cells);
    }

    fn containers_title(&self, view: &View, shown: usize) -> String {
        let dot = self.look.sign(" · ", " | ");
        let all = self.model.containers.values().filter(|container| !container.facts.name.is_empty());
        let (all, uncounted) = all.fold((0, 0), |(all, uncounted), container| {
            let is_uncounted = container.total.is_none() && container.facts.is_running;
            (all + 1, uncounted + usize::from(is_uncounted))
        });
        let mut title = format!(
            " {all} container{}{dot}{}",
            if all == 1 { "" } else { "s" },
            view.container_sort.title()
        );
        if shown != all {
            title += &format!("{dot}{shown} shown");
        }
        if self.model.forgotten > 0 {
            title += &format!("{dot}{} more have ended", self.model.forgotten);
        }
        title += &filter(&view.containers.filter, view, self);
        if uncounted > 0 && all > self.about.max_counted {
            title += &format!("{dot}calls are counted of {} at a time", self.about.max_counted);
        }
        title + " "
    }
}

/// What a table's title says of its filters.
pub(super) fn filter(filter: &str, view: &View, picture: &Picture) -> String {
    let dot = picture.look.sign(" · ", " | ");
    let filter =
        if filter.is_empty() { String::new() } else { format!("{dot}/{}", clean(filter, picture.look)) };
    filter + &(if view.denied_only { format!("{dot}denied only") } else { String::new() })
}
