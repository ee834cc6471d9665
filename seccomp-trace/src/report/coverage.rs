//! How many of a group's containers made each call.

use super::text;
use crate::recording::{Recording, Target};

/// How many calls are named in one line.
const MOST: usize = 10;

/// `3 containers; made by all of them: 41 calls; by fewer: accept4 (1), mkdir (2)`; none where it is no group.
#[must_use]
pub fn coverage(recording: &Recording) -> Option<String> {
    let Target::Group { containers, .. } = &recording.target else { return None };
    let all = containers.len();
    let mut fewer: Vec<_> = recording
        .syscalls
        .iter()
        .flat_map(|(abi, syscalls)| syscalls.iter().map(move |syscall| (abi, syscall)))
        .filter_map(|(abi, syscall)| {
            let count = syscall.containers.filter(|count| *count as usize != all)?;
            let name = syscall.name.clone().unwrap_or_else(|| format!("{abi} {}", syscall.number));
            Some((count, name))
        })
        .collect();
    fewer.sort_unstable();
    let by_all = recording.syscalls.values().map(Vec::len).sum::<usize>() - fewer.len();
    let fewer: Vec<_> = fewer.into_iter().map(|(count, name)| format!("{name} ({count})")).collect();
    let containers = if all == 1 { "1 container".to_owned() } else { format!("{all} containers") };
    let fewer =
        if fewer.is_empty() { String::new() } else { format!("; by fewer: {}", text::list(&fewer, MOST)) };
    Some(format!("{containers}; made by all of them: {by_all} calls{fewer}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::GroupBy;

    #[test]
    fn what_not_all_have_made_is_named_the_rarest_first() {
        let text = include_str!("../../../tests/cli/fixtures/recording-v2.json");
        let mut recording = Recording::parse(text.as_bytes()).unwrap();
        assert_eq!(coverage(&recording), None);
        let containers = recording.target.containers().iter().cycle().take(3).cloned().collect();
        recording.target = Target::Group { by: GroupBy::Image, name: "nginx".into(), containers };
        recording.syscalls.retain(|abi, _| abi.to_string() == "x86_64");
        for (count, syscall) in
            [2, 1].into_iter().chain(std::iter::repeat(3)).zip(recording.syscalls.values_mut().flatten())
        {
            syscall.containers = Some(count);
        }
        let names: Vec<_> =
            recording.syscalls.values().flatten().filter_map(|syscall| syscall.name.clone()).collect();
        assert_eq!(
            coverage(&recording).unwrap(),
            format!(
                "3 containers; made by all of them: 8 calls; by fewer: {} (1), {} (2)",
                names[1], names[0]
            )
        );
    }
}
