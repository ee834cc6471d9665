use jiff::ToSpan as _;

use super::*;
use crate::recording::{DeniedBy, FilterAction};

const START: Timestamp = Timestamp::UNIX_EPOCH;

fn at(milliseconds: i64) -> Timestamp {
    START + milliseconds.milliseconds()
}

fn seen(number: u32, milliseconds: i64, origin: Origin) -> Update {
    let first = Some(First { time: at(milliseconds), comm: "app".into() });
    Update::Seen { id: 1, syscall: (Abi::X86_64, number), first, origin: Some(origin) }
}

fn counts(calls: &[(u32, u64)], milliseconds: i64) -> Update {
    let calls = calls.iter().map(|(number, count)| ((Abi::X86_64, *number), *count)).collect();
    Update::Counts { id: 1, calls, beyond: 0, sampled: Some(at(milliseconds)) }
}

fn denial(action: FilterAction, count: u64) -> Denial {
    let name = Some("mkdir".to_owned());
    Denial {
        number: 83,
        name,
        action,
        own_filter: false,
        supervised: false,
        count,
        first_seen: at(7),
        comm: "app".into(),
    }
}

#[test]
fn a_call_is_new_once_whoever_makes_it_and_keeps_its_first_time() {
    let mut model = Model::new(START);
    assert!(model.apply(seen(0, 20, Origin::Runtime)));
    assert!(!model.apply(seen(0, 10, Origin::Application)));
    let container = &model.containers[&1];
    let call = &container.calls[&(Abi::X86_64, 0)];
    assert_eq!(call.first.as_ref().map(|first| first.time), Some(at(10)));
    assert!(!call.is_runtimes_only());
    assert_eq!((container.distinct(), container.denied(), model.events), (1, 0, 1));
}

#[test]
fn a_call_whose_news_was_lost_is_there_all_the_same() {
    let mut model = Model::new(START);
    model.apply(Update::Status(Status { now: at(5000), lost: 1, cost: None }));
    let update = Update::Seen { id: 1, syscall: (Abi::I386, 3), first: None, origin: None };
    assert!(model.apply(update));
    let container = &model.containers[&1];
    assert_eq!((container.newest, container.discoveries()), (Some(at(5000)), vec![at(5000)]));
}

#[test]
fn a_denial_is_new_once_for_each_answer_and_counted() {
    let mut model = Model::new(START);
    for (action, count, is_new) in
        [(FilterAction::Errno(1), 1, true), (FilterAction::Errno(1), 5, false), (FilterAction::Trap, 2, true)]
    {
        assert_eq!(model.apply(Update::Denied(1, Abi::X86_64, denial(action, count))), is_new);
    }
    let container = &model.containers[&1];
    let answered = container.calls[&(Abi::X86_64, 83)].answered();
    assert_eq!(answered, Some((DeniedBy::Container, "EPERM, SIGSYS".to_owned(), 7)));
    // It was never made.
    assert_eq!((container.distinct(), container.denied(), container.discoveries().len()), (0, 1, 0));
}

#[test]
fn rates_are_counts_over_the_time_between_two_readings() {
    let mut model = Model::new(START);
    model.apply(seen(0, 1, Origin::Application));
    // Since when the first ones came, nobody knows.
    model.apply(counts(&[(0, 900), (1, 100)], 1000));
    assert_eq!((model.containers[&1].total, model.containers[&1].rate), (Some(1000), 0));
    model.apply(counts(&[(0, 1900), (1, 100)], 3000));
    let container = &model.containers[&1];
    assert_eq!((container.total, container.rate), (Some(2000), 500));
    let call = &container.calls[&(Abi::X86_64, 0)];
    assert_eq!((call.count, call.rate, call.history[HISTORY - 1]), (Some(1900), 500, 500));
    // Counts of a call that is in no recording make no row.
    assert_eq!(container.calls.len(), 1);
}

/// As when another container is chosen in between.
#[test]
fn counts_between_two_samples_change_no_rate_and_no_history() {
    let mut model = Model::new(START);
    model.apply(seen(0, 1, Origin::Application));
    let between =
        |count| Update::Counts { id: 1, calls: vec![((Abi::X86_64, 0), count)], beyond: 0, sampled: None };
    let state = |model: &Model| {
        let container = &model.containers[&1];
        let call = &container.calls[&(Abi::X86_64, 0)];
        (container.rate, call.rate, call.history)
    };
    model.apply(counts(&[(0, 100)], 1000));
    model.apply(counts(&[(0, 300)], 2000));
    let before = state(&model);
    assert_eq!((before.0, before.1), (200, 200));
    for count in [310, 400, 500] {
        model.apply(between(count));
        assert_eq!(state(&model), before);
        // The count itself is what it is now.
        assert_eq!(model.containers[&1].total, Some(count));
    }
    model.apply(counts(&[(0, 800)], 3000));
    let after = state(&model);
    assert_eq!((after.0, after.1, &after.2[HISTORY - 3..]), (500, 500, &[0, 200, 500][..]));
}

#[test]
fn what_is_not_counted_any_more_has_neither_counts_nor_rates() {
    let mut model = Model::new(START);
    model.apply(seen(0, 1, Origin::Application));
    model.apply(counts(&[(0, 100)], 1000));
    model.apply(counts(&[(0, 300)], 2000));
    model.apply(Update::Uncounted(1));
    let container = &model.containers[&1];
    let call = &container.calls[&(Abi::X86_64, 0)];
    assert_eq!((container.total, container.rate, call.count, call.rate), (None, 0, None, 0));
    assert_eq!(call.history, [0; HISTORY]);
}

#[test]
fn a_flaw_is_said_once() {
    let mut model = Model::new(START);
    let facts = |flaws: &[Flaw], is_running| {
        let flaws = flaws.iter().copied().collect();
        Update::Container(1, Facts { name: "web".into(), is_running, flaws, ..Facts::default() })
    };
    model.apply(facts(&[], true));
    assert!(model.messages.is_empty());
    model.apply(facts(&[Flaw::Late], true));
    model.apply(facts(&[Flaw::Late, Flaw::Incomplete], true));
    model.apply(facts(&[Flaw::Late, Flaw::Incomplete], false));
    let said: Vec<_> = model.messages.iter().map(|message| message.split_once(": ").unwrap().1).collect();
    assert_eq!(said, [Flaw::Late.message(), Flaw::Incomplete.message()]);
}

#[test]
fn what_has_ended_has_no_rate_and_keeps_its_counts() {
    let mut model = Model::new(START);
    let running = Facts { name: "web".into(), is_running: true, ..Facts::default() };
    model.apply(Update::Container(1, running.clone()));
    model.apply(seen(0, 1, Origin::Application));
    model.apply(counts(&[(0, 0)], 1000));
    model.apply(counts(&[(0, 500)], 2000));
    assert_eq!(model.containers[&1].rate, 500);
    model.apply(Update::Container(1, Facts { is_running: false, ..running }));
    let container = &model.containers[&1];
    assert_eq!((container.rate, container.total), (0, Some(500)));
    assert_eq!(container.calls[&(Abi::X86_64, 0)].rate, 0);
}

#[test]
fn of_those_that_have_ended_the_last_ones_are_kept() {
    let mut model = Model::new(START);
    let facts = |is_running| Facts { name: "web".into(), is_running, ..Facts::default() };
    model.apply(Update::Container(0, facts(true)));
    for id in 1..=ENDED + 3 {
        model.apply(Update::Container(id, facts(true)));
        model.apply(Update::Container(id, facts(false)));
    }
    assert_eq!((model.containers.len(), model.forgotten), (ENDED + 1, 3));
    assert!(model.containers.contains_key(&0) && !model.containers.contains_key(&1));
}

#[test]
fn discoveries_stand_in_the_order_of_time() {
    let mut model = Model::new(START);
    for (number, time) in [(0, 30), (1, 10), (2, 20)] {
        model.apply(seen(number, time, Origin::Application));
    }
    assert_eq!(model.containers[&1].discoveries(), [at(10), at(20), at(30)]);
}

#[test]
fn what_was_said_is_kept_within_bounds() {
    let mut model = Model::new(START);
    for count in 0..MESSAGES + 5 {
        model.apply(Update::Said(count.to_string()));
    }
    assert_eq!(model.messages.len(), MESSAGES);
    assert_eq!(model.messages.front().map(String::as_str), Some("5"));
}

#[test]
fn what_nobody_asked_for_goes_again() {
    let mut model = Model::new(START);
    model.apply(seen(0, 1, Origin::Application));
    model.apply(Update::Discarded(1));
    assert!(model.containers.is_empty());
}
