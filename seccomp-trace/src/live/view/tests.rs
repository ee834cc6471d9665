use jiff::Timestamp;
use ratatui::{
    crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind},
    layout::Rect,
};

use super::*;
use crate::{
    abi::Abi,
    live::model::{Facts, First, Update},
    recording::Origin,
};

fn model() -> Model {
    let mut model = Model::new(Timestamp::UNIX_EPOCH);
    for (id, name) in [(0, "web"), (1, "db"), (2, "cache")] {
        model.apply(Update::Container(id, Facts { name: name.into(), ..Facts::default() }));
        for (number, time) in [(0, 3), (1, 1), (257, 2)] {
            let first = First { time: Timestamp::from_second(time).unwrap(), comm: "app".into() };
            let (first, origin) = (Some(first), Some(Origin::Application));
            model.apply(Update::Seen { id, syscall: (Abi::X86_64, number), first, origin });
        }
    }
    model
}

fn press(view: &mut View, model: &Model, key: KeyCode) -> Option<Action> {
    view.event(&Event::Key(KeyEvent::new(key, KeyModifiers::NONE)), model)
}

fn type_text(view: &mut View, model: &Model, text: &str) -> Option<Action> {
    text.chars().filter_map(|char| press(view, model, KeyCode::Char(char))).last()
}

fn chosen(view: &View, model: &Model) -> String {
    view.container(view.shown(model)).map(|(_, container)| container.facts.name.clone()).unwrap_or_default()
}

#[test]
fn arrows_and_letters_choose_a_container_and_say_so() {
    let (model, mut view) = (model(), View::new(None));
    assert_eq!(chosen(&view, &model), "web");
    assert_eq!(press(&mut view, &model, KeyCode::Down), Some(Action::Choose(1)));
    assert_eq!(type_text(&mut view, &model, "j"), Some(Action::Choose(2)));
    assert_eq!(type_text(&mut view, &model, "j"), None);
    assert_eq!(chosen(&view, &model), "cache");
    assert_eq!(type_text(&mut view, &model, "k"), Some(Action::Choose(1)));
    assert_eq!(press(&mut view, &model, KeyCode::Home), Some(Action::Choose(0)));
    assert_eq!(type_text(&mut view, &model, "G"), Some(Action::Choose(2)));
}

#[test]
fn a_choice_stays_when_the_order_changes() {
    let (mut model, mut view) = (model(), View::new(None));
    type_text(&mut view, &model, "j");
    type_text(&mut view, &model, "s");
    assert_eq!(view.container_sort, ContainerSort::Name);
    assert_eq!(chosen(&view, &model), "db");
    model.apply(Update::Container(3, Facts { name: "a".into(), ..Facts::default() }));
    assert_eq!(chosen(&view, &model), "db");
}

#[test]
fn a_filter_is_typed_and_taken_back() {
    let (model, mut view) = (model(), View::new(None));
    press(&mut view, &model, KeyCode::Tab);
    // Keys that else do something are letters now.
    type_text(&mut view, &model, "/open");
    let (_, web) = view.container(&model).unwrap();
    assert_eq!(view.call_rows(web).len(), 1);
    assert!(view.is_typing);
    press(&mut view, &model, KeyCode::Enter);
    assert!(!view.is_typing);
    press(&mut view, &model, KeyCode::Esc);
    assert_eq!(view.call_rows(web).len(), 3);
    type_text(&mut view, &model, "/q");
    assert_eq!(view.calls.filter, "q");
}

/// From either table, and from where nothing is shown at all.
#[test]
fn a_filter_that_matches_nothing_is_taken_back_with_escape_from_anywhere() {
    let model = model();
    for (typed, after) in [
        ("/nobody", &[][..]),
        ("/nobody", &[KeyCode::Tab]),
        ("/nobody", &[KeyCode::Enter, KeyCode::Char('p')]),
        ("d", &[]),
        ("d", &[KeyCode::Tab]),
    ] {
        let mut view = View::new(None);
        type_text(&mut view, &model, typed);
        if view.is_typing {
            press(&mut view, &model, KeyCode::Enter);
        }
        after.iter().for_each(|key| _ = press(&mut view, &model, *key));
        assert!(view.container_rows(&model).is_empty(), "{typed}");
        press(&mut view, &model, KeyCode::Esc);
        assert_eq!(view.container_rows(&model).len(), 3, "{typed} {after:?}");
    }
    // Of the calls, from the containers.
    let mut view = View::new(None);
    press(&mut view, &model, KeyCode::Tab);
    type_text(&mut view, &model, "/nothing");
    press(&mut view, &model, KeyCode::Enter);
    press(&mut view, &model, KeyCode::Tab);
    press(&mut view, &model, KeyCode::Esc);
    assert_eq!(view.call_rows(view.container(&model).unwrap().1).len(), 3);
    // One that matches is taken back as well, one Esc after the other.
    type_text(&mut view, &model, "/web");
    press(&mut view, &model, KeyCode::Enter);
    press(&mut view, &model, KeyCode::Tab);
    type_text(&mut view, &model, "/open");
    press(&mut view, &model, KeyCode::Enter);
    press(&mut view, &model, KeyCode::Esc);
    assert_eq!((view.calls.filter.as_str(), view.containers.filter.as_str()), ("", "web"));
    press(&mut view, &model, KeyCode::Esc);
    assert_eq!(view.containers.filter, "");
}

#[test]
fn calls_are_sorted_newest_first_until_s_says_otherwise() {
    let (model, mut view) = (model(), View::new(None));
    let names = |view: &View| -> Vec<String> {
        let (_, container) = view.container(&model).unwrap();
        view.call_rows(container).into_iter().map(|(syscall, _)| rows::name(syscall)).collect()
    };
    assert_eq!(names(&view), ["read", "openat", "write"]);
    press(&mut view, &model, KeyCode::Tab);
    type_text(&mut view, &model, "s");
    assert_eq!(names(&view), ["openat", "read", "write"]);
}

#[test]
fn a_paused_picture_stays_as_it_was() {
    let (mut model, mut view) = (model(), View::new(None));
    type_text(&mut view, &model, "p");
    model.apply(Update::Discarded(0));
    assert_eq!(view.shown(&model).containers.len(), 3);
    type_text(&mut view, &model, "p");
    assert_eq!(view.shown(&model).containers.len(), 2);
}

#[test]
fn d_shows_what_is_denied_alone() {
    let (model, mut view) = (model(), View::new(None));
    type_text(&mut view, &model, "d");
    assert!(view.container_rows(&model).is_empty());
    assert_eq!(view.container(&model).map(|(id, _)| id), None);
}

#[test]
fn wishes_go_to_the_session() {
    let (model, mut view) = (model(), View::new(None));
    assert_eq!(type_text(&mut view, &model, "w"), Some(Action::Write(0)));
    assert_eq!(type_text(&mut view, &model, "q"), Some(Action::End));
    let control = |char| Event::Key(KeyEvent::new(KeyCode::Char(char), KeyModifiers::CONTROL));
    assert_eq!(view.event(&control('c'), &model), Some(Action::Interrupt));
    assert_eq!(view.event(&control('z'), &model), Some(Action::Suspend));
    // Not even while a filter is typed.
    type_text(&mut view, &model, "/");
    assert_eq!(view.event(&control('c'), &model), Some(Action::Interrupt));
}

#[test]
fn enter_opens_the_calls_and_then_a_call() {
    let (model, mut view) = (model(), View::new(None));
    press(&mut view, &model, KeyCode::Enter);
    assert_eq!((view.focus, view.popup), (Focus::Calls, None));
    press(&mut view, &model, KeyCode::Enter);
    assert_eq!(view.popup, Some(Popup::Details));
    press(&mut view, &model, KeyCode::Esc);
    type_text(&mut view, &model, "?");
    assert_eq!(view.popup, Some(Popup::Help));
}

#[test]
fn the_mouse_chooses_and_scrolls() {
    let (model, mut view) = (model(), View::new(None));
    view.containers.area = Rect::new(1, 3, 50, 3);
    view.calls.area = Rect::new(1, 10, 50, 3);
    let mouse = |kind, row| Event::Mouse(MouseEvent { kind, column: 5, row, modifiers: KeyModifiers::NONE });
    let click = MouseEventKind::Down(MouseButton::Left);
    assert_eq!(view.event(&mouse(click, 4), &model), Some(Action::Choose(1)));
    view.event(&mouse(click, 11), &model);
    assert_eq!((view.focus, view.calls.chosen), (Focus::Calls, Some((Abi::X86_64, 257))));
    view.event(&mouse(MouseEventKind::ScrollDown, 11), &model);
    assert_eq!(view.calls.chosen, Some((Abi::X86_64, 1)));
    // Beside the tables nothing is chosen.
    assert_eq!(view.event(&mouse(click, 30), &model), None);
}
