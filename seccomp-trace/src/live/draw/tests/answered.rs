//! Who has answered a call in the kernel's place.

use super::*;

/// In the row, in the details, and in what counts as denied.
#[test]
fn who_has_answered_is_said_as_far_as_it_is_known() {
    for (own_filter, supervised, row, details) in [
        (false, false, "5× DENIED EPERM", "denied      5 times: EPERM"),
        (true, false, "5× DENIED EPERM by own filter", "denied      5 times: EPERM, by its own filter"),
        (
            false,
            true,
            "5× ANSWERED by its engine",
            "answered    5 times: EPERM, by a supervisor of its engine",
        ),
        (
            true,
            true,
            "5× ANSWERED by own supervisor",
            "answered    5 times: EPERM, by its own supervisor or tracer",
        ),
    ] {
        let mut model = Model::new(at(0));
        model.apply(Update::Container(0, facts("web", "nginx:1.22")));
        let action = FilterAction::Errno(1);
        let (name, comm) = (Some("mount".to_owned()), "mount".to_owned());
        let denial = Denial {
            number: 165,
            name,
            action,
            own_filter,
            supervised,
            count: 5,
            first_seen: at(80_000),
            comm,
        };
        model.apply(Update::Denied(0, Abi::X86_64, denial));
        let mut view = View::new(None);
        let picture = frame((180, 24), &mut view, &model, PLAIN);
        assert!(picture.lines().any(|line| line.contains(&format!("{row} "))), "{row}:\n{picture}");
        assert_eq!(model.containers[&0].denied(), usize::from(!supervised));
        press(&mut view, &model, &[KeyCode::Tab, KeyCode::Enter]);
        let picture = frame((180, 24), &mut view, &model, PLAIN);
        assert!(picture.contains(&format!(" {details} ")), "{details}:\n{picture}");
        press(&mut view, &model, &[KeyCode::Esc, KeyCode::Char('d')]);
        assert_eq!(view.container_rows(&model).is_empty(), supervised);
    }
}
