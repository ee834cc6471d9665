//! What in a recording fails the command that made it.

use anyhow::anyhow;

use crate::{
    cli::trace_options::TraceOptions,
    recording::{Boundary, FoundBy, Lost, Recording},
};

/// Everything that does, in words.
pub fn judge(recording: &Recording, options: &TraceOptions) -> Vec<anyhow::Error> {
    let title = recording.title();
    let mut troubles = Vec::new();
    let Lost { syscalls, skips, .. } = recording.lost;
    let incomplete = [
        (syscalls, format!("{syscalls} syscalls are lost, the recording is incomplete")),
        (skips, format!("the kernel skipped its tracing {skips} times, the recording may be incomplete")),
    ];
    for (_, what) in incomplete.into_iter().filter(|(count, _)| *count > 0 && !options.allow_incomplete) {
        troubles.push(anyhow!("{title}: {what} (--allow-incomplete accepts it)"));
    }
    if options.strict {
        let Boundary { found_by, attached_late } = recording.boundary;
        let less_than_exact = [
            (attached_late, "it was attached late"),
            (found_by == FoundBy::Estimated, "its boundary is estimated"),
            (found_by == FoundBy::Unknown && !attached_late, "nothing of it was seen to start"),
            (recording.lost.events > 0, "times of first sightings are lost"),
            (recording.denials().any(|(_, denial)| !denial.own_filter), "calls of it were denied"),
            (recording.lost.denials > 0, "denials are lost"),
            (recording.lost.origins > 0, "origins of tasks are lost"),
        ];
        for (_, what) in less_than_exact.into_iter().filter(|(is_so, _)| *is_so) {
            troubles.push(anyhow!("{title}: {what}, and --strict allows nothing less than exact"));
        }
    }
    troubles
}
