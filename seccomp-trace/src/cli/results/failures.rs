//! What in a recording fails the command that made it.

use anyhow::anyhow;

use crate::{
    cli::trace_options::TraceOptions,
    recording::{Boundary, BoundaryMethod, DeniedBy, Lost, Recording},
};

/// Everything that does, in words.
pub fn failures(recording: &Recording, options: &TraceOptions) -> Vec<anyhow::Error> {
    let title = recording.title();
    let mut errors = Vec::new();
    let Lost { syscalls, missed_runs, .. } = recording.lost;
    let incomplete = [
        (syscalls, format!("{syscalls} syscalls are lost, the recording is incomplete")),
        (
            missed_runs,
            format!("the kernel skipped its tracing {missed_runs} times, the recording may be incomplete"),
        ),
    ];
    for (_, what) in incomplete.into_iter().filter(|(count, _)| *count > 0 && !options.allow_incomplete) {
        errors.push(anyhow!("{title}: {what} (--allow-incomplete accepts it)"));
    }
    if options.strict {
        let Boundary { method, attached_late } = recording.boundary;
        let has = |code| recording.warnings.iter().any(|warning| warning.code == code);
        let less_than_exact = [
            (attached_late, "it was attached late"),
            (method == BoundaryMethod::Estimated, "its boundary is estimated"),
            (method == BoundaryMethod::Unknown && !attached_late, "nothing of it was seen to start"),
            (recording.lost.events > 0, "times of first calls are lost"),
            (
                recording
                    .denials()
                    .any(|(_, denial)| matches!(denial.by(), DeniedBy::Container | DeniedBy::Engine)),
                "calls of it were denied",
            ),
            (has("could-tamper"), "a task of it could have written what was seen"),
            (has("emulated-calls"), "a tracer in it has skipped or emulated calls"),
            (recording.lost.denials > 0, "denials are lost"),
            (has("foreign-tasks"), "processes from elsewhere came into it"),
            (has("rival-applications"), "processes from elsewhere look like its first program"),
            (recording.lost.task_origins > 0, "origins of tasks are lost"),
        ];
        for (_, what) in less_than_exact.into_iter().filter(|(is_so, _)| *is_so) {
            errors.push(anyhow!("{title}: {what}, and --strict allows nothing less than exact"));
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::{TraceOptions, failures};
    use crate::recording::{Boundary, BoundaryMethod, Host, Lost, Target, builder::Builder};

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: TraceOptions,
    }

    fn errors(lost: Lost, options: &[&str]) -> Vec<String> {
        troubles_with(lost, &[], options)
    }

    fn troubles_with(lost: Lost, warnings: &[&str], options: &[&str]) -> Vec<String> {
        let target = Target::Command { argv: vec!["web".to_owned()] };
        let host = Host { kernel: String::new(), architecture: String::new() };
        let mut builder = Builder::new(target, host, jiff::Timestamp::UNIX_EPOCH);
        builder.lose(lost);
        builder.set_boundary(Boundary { method: BoundaryMethod::Filter, attached_late: false });
        warnings.iter().for_each(|code| builder.warn(code, ""));
        let line = Line::parse_from([&["run"], options].concat());
        failures(&builder.build(true), &line.options).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_may_lack_a_call_fails_unless_that_is_accepted() {
        let none: [&str; 0] = [];
        assert_eq!(errors(Lost::default(), &[]), none);
        let lost = Lost { syscalls: 2, missed_runs: 3, ..Lost::default() };
        assert_eq!(
            errors(lost, &[]),
            [
                "web: 2 syscalls are lost, the recording is incomplete (--allow-incomplete accepts it)",
                "web: the kernel skipped its tracing 3 times, the recording may be incomplete (--allow-incomplete accepts it)",
            ]
        );
        assert_eq!(errors(lost, &["--allow-incomplete"]), none);
    }

    #[test]
    fn strangers_in_a_container_fail_with_strict_alone() {
        let none: [&str; 0] = [];
        for (code, said) in [
            ("foreign-tasks", "processes from elsewhere came into it"),
            ("rival-applications", "processes from elsewhere look like its first program"),
        ] {
            assert_eq!(troubles_with(Lost::default(), &[code], &[]), none);
            assert_eq!(
                troubles_with(Lost::default(), &[code], &["--strict"]),
                [format!("web: {said}, and --strict allows nothing less than exact")]
            );
        }
        assert_eq!(troubles_with(Lost::default(), &[], &["--strict"]), none);
    }
}
