use jiff::{SignedDuration, Timestamp};
use ratatui::{
    Terminal,
    backend::TestBackend,
    crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers},
    style::{Color, Modifier},
};

use super::*;
use crate::{
    abi::Abi,
    live::model::{ContainerId, Cost, Facts, First, Flaw, Status, Update},
    recording::{Denial, FilterAction, Origin},
};

mod answered;

const PLAIN: Theme = Theme { color: false, unicode: true };
const ASCII: Theme = Theme { color: false, unicode: false };
const COLOR: Theme = Theme { color: true, unicode: true };

fn at(milliseconds: i64) -> Timestamp {
    "2026-01-02T03:04:05Z".parse::<Timestamp>().unwrap() + SignedDuration::from_millis(milliseconds)
}

fn facts(name: &str, image: &str) -> Facts {
    Facts {
        name: name.into(),
        id: "4f0c".into(),
        image: image.into(),
        engine: "docker".into(),
        is_running: true,
        files: format!("profiles/{name}.json"),
        flaws: Default::default(),
    }
}

fn seen(model: &mut Model, id: ContainerId, name: &str, milliseconds: i64, comm: &str, origin: Origin) {
    let syscall = (Abi::X86_64, Abi::X86_64.number(name).unwrap());
    let first = Some(First { time: at(milliseconds), comm: comm.into() });
    model.apply(Update::Seen { id, syscall, first, origin: Some(origin) });
}

/// A web server that has run for 95 seconds, and a cache.
fn model() -> Model {
    let mut model = Model::new(at(0));
    model.apply(Update::Container(0, facts("web", "nginx:1.22")));
    model.apply(Update::Container(1, Facts { is_running: false, ..facts("cache", "redis") }));
    for (number, name) in
        ["execve", "brk", "mmap", "openat", "read", "close", "socket", "bind", "listen", "clone"]
            .iter()
            .enumerate()
    {
        seen(&mut model, 0, name, 1200 + number as i64 * 40, "nginx", Origin::Application);
    }
    for name in ["setresgid", "capset"] {
        seen(&mut model, 0, name, 1100, "runc:[2:INIT]", Origin::Runtime);
    }
    seen(&mut model, 0, "accept4", 30_000, "nginx", Origin::Application);
    seen(&mut model, 0, "writev", 93_000, "nginx", Origin::Application);
    seen(&mut model, 0, "dup2", 94_000, "sh", Origin::Joined);
    let first = Some(First { time: at(40_000), comm: "legacy".into() });
    let (id, origin) = (0, Some(Origin::Application));
    model.apply(Update::Seen { id, syscall: (Abi::I386, 5), first, origin });
    let denial = Denial {
        number: 165,
        name: Some("mount".into()),
        action: FilterAction::Errno(1),
        own_filter: false,
        supervised: false,
        count: 3,
        first_seen: at(80_000),
        comm: "mount".into(),
    };
    model.apply(Update::Denied(0, Abi::X86_64, denial));
    seen(&mut model, 1, "execve", 900, "redis-server", Origin::Application);
    for second in 0..20_u64 {
        let count = |name: &str, times: u64| ((Abi::X86_64, Abi::X86_64.number(name).unwrap()), times);
        let calls = vec![
            count("accept4", second * 1200),
            count("writev", second * second * 100),
            count("read", 40 + second * 2400),
            count("execve", 1),
        ];
        model.apply(Update::Counts {
            id: 0,
            calls,
            beyond: 0,
            sampled: Some(at(75_000 + second as i64 * 1000)),
        });
    }
    let cost = Some(Cost { share: 0.0123, run: 48.4 });
    model.apply(Update::Status(Status { now: at(95_000), lost: 0, cost }));
    model.apply(Update::Said("note: web is recorded".into()));
    model
}

fn about() -> About {
    About { title: "record".into(), end: "profiles/*.json".into(), max_counted: 64, has_command: false }
}

fn press(view: &mut View, model: &Model, keys: &[KeyCode]) {
    for key in keys {
        view.event(&Event::Key(KeyEvent::new(*key, KeyModifiers::NONE)), model);
    }
}

fn terminal(size: (u16, u16), view: &mut View, model: &Model, look: Theme) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(size.0, size.1)).unwrap();
    terminal.draw(|frame| draw(frame, view, model, &about(), look)).unwrap();
    terminal
}

fn frame(size: (u16, u16), view: &mut View, model: &Model, look: Theme) -> String {
    terminal(size, view, model, look).backend().to_string()
}

fn keys(text: &str) -> Vec<KeyCode> {
    text.chars().map(KeyCode::Char).collect()
}

#[test]
fn a_wide_terminal() {
    insta::assert_snapshot!(frame((140, 34), &mut View::new(None), &model(), PLAIN));
}

#[test]
fn a_usual_terminal_while_a_filter_is_typed() {
    let (model, mut view) = (model(), View::new(None));
    press(&mut view, &model, &[KeyCode::Tab, KeyCode::Char('/'), KeyCode::Char('e')]);
    insta::assert_snapshot!(frame((80, 24), &mut view, &model, PLAIN));
}

#[test]
fn a_narrow_terminal() {
    insta::assert_snapshot!(frame((60, 20), &mut View::new(None), &model(), PLAIN));
}

#[test]
fn a_high_terminal_has_the_curve_below() {
    insta::assert_snapshot!(frame((80, 44), &mut View::new(None), &model(), PLAIN));
}

#[test]
fn without_unicode() {
    let mut view = View::new(None);
    let mut model = model();
    model.apply(Update::Container(1, facts("größe-猫", "redis")));
    let frame = frame((120, 30), &mut view, &model, ASCII);
    assert!(frame.is_ascii(), "{frame}");
    insta::assert_snapshot!(frame);
}

#[test]
fn help() {
    let (model, mut view) = (model(), View::new(None));
    press(&mut view, &model, &keys("?"));
    insta::assert_snapshot!(frame((100, 30), &mut view, &model, PLAIN));
}

#[test]
fn details_of_a_denied_call() {
    let (model, mut view) = (model(), View::new(None));
    press(&mut view, &model, &[KeyCode::Enter, KeyCode::Char('d'), KeyCode::Enter]);
    insta::assert_snapshot!(frame((100, 24), &mut view, &model, PLAIN));
}

#[test]
fn paused_and_sorted_by_calls() {
    let (mut model, mut view) = (model(), View::new(None));
    press(&mut view, &model, &[KeyCode::Tab, KeyCode::Char('s'), KeyCode::Char('s'), KeyCode::Char('s')]);
    press(&mut view, &model, &keys("p"));
    model.apply(Update::Discarded(0));
    insta::assert_snapshot!(frame((120, 24), &mut view, &model, PLAIN));
}

#[test]
fn nothing_yet() {
    insta::assert_snapshot!(frame((80, 20), &mut View::new(None), &Model::new(at(0)), PLAIN));
}

#[test]
fn more_containers_than_are_counted_and_events_that_were_lost() {
    let mut model = model();
    for id in 2..1000 {
        model.apply(Update::Container(id, facts(&format!("worker-{id:03}"), "worker")));
        seen(&mut model, id, "execve", 50_000, "worker", Origin::Application);
    }
    model.apply(Update::Status(Status { now: at(95_000), lost: 12_345, cost: None }));
    let mut view = View::new(None);
    press(&mut view, &model, &keys("G"));
    insta::assert_snapshot!(frame((120, 30), &mut view, &model, PLAIN));
}

#[test]
fn what_command_prints_is_shown_without_what_a_terminal_would_obey() {
    let output = crate::live::output::Output::new().unwrap();
    output.print(b"one\n\x1b[31mred\x1b[2J\x07\nlast").unwrap();
    let (model, mut view) = (model(), View::new(Some(output)));
    press(&mut view, &model, &keys("o"));
    insta::assert_snapshot!(frame((60, 12), &mut view, &model, PLAIN));
}

/// At every width: where there is no room, words are cut.
#[test]
fn a_count_is_whole_or_not_there() {
    let mut model = model();
    let denial = |number: u32, count: u64| Denial {
        number,
        name: Abi::X86_64.name(number).map(str::to_owned),
        action: FilterAction::Errno(1),
        own_filter: false,
        supervised: false,
        count,
        first_seen: at(80_000),
        comm: "mount".into(),
    };
    // One that was made as well, and one that was not.
    model.apply(Update::Denied(0, Abi::X86_64, denial(33, 577)));
    model.apply(Update::Denied(0, Abi::X86_64, denial(165, 345_678)));
    for width in 30..200 {
        let mut view = View::new(None);
        press(&mut view, &model, &keys("d"));
        let frame = frame((width, 30), &mut view, &model, PLAIN);
        for (call, count) in [("dup", "577×"), ("mou", "345k×")] {
            let row = frame.lines().find(|line| line.contains(&format!("│{call}")));
            let row = row.unwrap_or_else(|| panic!("{call} at {width}:\n{frame}"));
            assert!(row.contains(count), "{call} at {width}:\n{frame}");
        }
        assert!(frame.contains("16 distinct calls"), "at {width}:\n{frame}");
    }
}

fn flawed() -> Model {
    let mut model = model();
    let flaws = [Flaw::Incomplete, Flaw::Late].into();
    model.apply(Update::Container(0, Facts { flaws, ..facts("web", "nginx:1.22") }));
    let flaws = [Flaw::Estimated].into();
    model.apply(Update::Container(2, Facts { flaws, ..facts("db", "postgres") }));
    let flaws = [Flaw::Lost].into();
    model.apply(Update::Container(3, Facts { flaws, ..facts("batch", "job") }));
    model
}

#[test]
fn what_is_less_than_exact_is_in_the_row_and_in_the_messages() {
    let model = flawed();
    insta::assert_snapshot!(frame((100, 24), &mut View::new(None), &model, PLAIN));
    let mut view = View::new(None);
    press(&mut view, &model, &keys("m"));
    // A message that is longer than a line goes on in the next.
    insta::assert_snapshot!(frame((50, 24), &mut view, &model, PLAIN));
}

#[test]
fn flaws_are_red_and_written_out_at_every_width() {
    for width in 40..160 {
        let terminal = terminal((width, 24), &mut View::new(None), &flawed(), COLOR);
        let frame = terminal.backend().to_string();
        for words in ["INCOMPLETE late", "estimated", "lost"] {
            assert!(frame.contains(words), "{words} at {width}:\n{frame}");
        }
        let cells = &terminal.backend().buffer().content;
        let red: String =
            cells.iter().filter(|cell| cell.fg == Color::Red).map(|cell| cell.symbol()).collect();
        assert!(red.contains("INCOMPLETE late"), "{red}");
        for name in ["web", "cache", "db"] {
            assert!(frame.contains(&format!("│{name} ")), "{name} at {width}:\n{frame}");
        }
    }
}

#[test]
fn a_filter_that_matches_nothing_says_how_it_is_taken_back() {
    let (model, mut view) = (model(), View::new(None));
    press(&mut view, &model, &keys("/nobody"));
    assert!(frame((80, 20), &mut view, &model, PLAIN).contains("No container is like that: Esc"));
    press(&mut view, &model, &[KeyCode::Enter, KeyCode::Esc, KeyCode::Tab]);
    press(&mut view, &model, &keys("/nothing"));
    assert!(frame((80, 20), &mut view, &model, PLAIN).contains("No call is like that: Esc"));
}

/// Every size, every popup: nothing panics, and nothing stands beside its place.
#[test]
fn no_size_is_too_small() {
    let model = model();
    for width in [1, 2, 5, 19, 40, 61, 109, 110, 200] {
        for height in [1, 2, 3, 4, 5, 8, 12, 13, 24, 50] {
            for popup in ["", "?", "m", "jj", "d"] {
                let mut view = View::new(None);
                press(&mut view, &model, &keys(popup));
                press(&mut view, &model, &[KeyCode::Tab, KeyCode::Enter]);
                terminal((width, height), &mut view, &model, COLOR);
            }
        }
    }
}

/// Names that a terminal would obey, that are too long, that are wide or stand on top of each other.
#[test]
fn hostile_names_stay_in_their_cells() {
    let names = [
        "\u{1b}[2J\u{1b}]0;x\u{7}",
        "a\r\n\tb",
        "\u{202e}evil\u{2066}",
        &"x".repeat(5000),
        "猫猫猫猫猫猫猫猫",
        "e\u{301}\u{301}\u{301}",
    ];
    for name in names {
        let mut model = Model::new(at(0));
        model
            .apply(Update::Container(0, Facts { image: name.into(), files: name.into(), ..facts(name, "") }));
        seen(&mut model, 0, "execve", 5, name, Origin::Application);
        model.apply(Update::Said(name.into()));
        for (size, popup) in [((140, 30), ""), ((60, 20), "m"), ((140, 30), "\n\n")] {
            let mut view = View::new(None);
            for char in popup.chars() {
                press(&mut view, &model, &[if char == '\n' { KeyCode::Enter } else { KeyCode::Char(char) }]);
            }
            let terminal = terminal(size, &mut view, &model, COLOR);
            let buffer = terminal.backend().buffer();
            for cell in &buffer.content {
                assert!(!cell.symbol().chars().any(char::is_control), "{:?}", cell.symbol());
            }
            // The frames stand where they do with a plain name.
            for row in 0..size.1.saturating_sub(3) {
                let edge = buffer[(size.0 - 1, row)].symbol();
                assert!(row < 2 || "│╮╯".contains(edge), "row {row} of {name:?} ends with {edge:?}");
            }
        }
    }
}

#[test]
fn colours_are_those_that_read_on_every_background_and_none_where_none_are_wanted() {
    let model = model();
    for (look, allowed) in
        [(COLOR, &[Color::Reset, Color::Red, Color::Green, Color::Magenta][..]), (PLAIN, &[Color::Reset])]
    {
        let terminal = terminal((140, 34), &mut View::new(None), &model, look);
        let cells = &terminal.backend().buffer().content;
        assert!(cells.iter().all(|cell| allowed.contains(&cell.fg) && cell.bg == Color::Reset));
        assert!(cells.iter().any(|cell| cell.modifier.contains(Modifier::REVERSED)));
        assert_eq!(look.color, cells.iter().any(|cell| cell.fg == Color::Red));
    }
}

/// A click on what is on the screen chooses just that.
#[test]
fn the_rows_are_where_the_mouse_finds_them() {
    use ratatui::crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
    let (model, mut view) = (model(), View::new(None));
    let terminal = terminal((140, 34), &mut view, &model, PLAIN);
    let buffer = terminal.backend().buffer();
    let row = (0..34).find(|row| {
        (0..140).map(|column| buffer[(column, *row)].symbol()).collect::<String>().contains("accept4")
    });
    let kind = MouseEventKind::Down(MouseButton::Left);
    let mouse = MouseEvent { kind, column: 3, row: row.unwrap(), modifiers: KeyModifiers::NONE };
    view.event(&Event::Mouse(mouse), &model);
    assert_eq!(view.calls.chosen, Some((Abi::X86_64, 288)));
}
