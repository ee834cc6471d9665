//! Which containers are recorded, and where each one's results go.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};

use crate::container_matrix::container::unused_name;
use crate::recorder::{Container, IMAGE, Recorder, calls, docker, image};
use crate::support::{self, Need, Trial};

const NEEDS: &[Need] = &[Need::Kernel, Need::Docker, Need::Busybox];

/// All tests of this file.
pub fn tests() -> Vec<Trial> {
    vec![
        support::test("record_several_by_name_image_and_label", NEEDS, several),
        support::test("record_all_but_the_excluded", NEEDS, excluded),
        support::test("record_a_second_container_beside_the_file_of_one", NEEDS, second),
        support::test("record_a_second_container_is_told_when_it_appears", NEEDS, second_at_once),
        support::test("record_more_containers_than_there_is_room_for", NEEDS, too_many),
    ]
}

/// An image's second name, which goes with the value.
struct Tag(String);

impl Drop for Tag {
    fn drop(&mut self) {
        docker(&["rmi", &self.0]).ok();
    }
}

/// Those asked for, now and later, each in files of its name; and nobody else.
fn several() -> Result<()> {
    let prefix = unused_name("several");
    let tag = Tag(format!("{prefix}-image"));
    docker(&["tag", image()?, &tag.0])?;
    let container = |name: &str| Container { name: format!("{prefix}-{name}") };
    let (early, glob, by_label) = (container("g-early"), container("g-late"), container("label"));
    let (by_value, by_image, stranger) = (container("value"), container("image"), container("stranger"));
    early.start(&[], "echo up; while :; do sleep 0.05; done")?;
    early.until_said("up")?;
    let key = format!("{prefix}.key");
    let mut recorder = Recorder::ready(&[
        "--container",
        &format!("{prefix}-g-*"),
        "--image",
        &format!("{prefix}-im?ge"),
        "--label",
        &format!("{prefix}.any"),
        "--label",
        &format!("{key}=yes"),
        "--output-dir",
        "{}",
        "--recording-dir",
        "{}",
    ])?;
    glob.start(&[], "true")?;
    by_label.start(&["--label", &format!("{prefix}.any=whatever")], "true")?;
    by_value.start(&["--label", &format!("{key}=yes")], "true")?;
    stranger.start(&["--label", &format!("{key}=no")], "true")?;
    let run = ["run", "--network", "none", "--name", &by_image.name, &tag.0, "true"];
    docker(&run)?;
    for container in [&glob, &by_label, &by_value, &stranger] {
        container.ends_well()?;
    }
    recorder.interrupt()?;
    let wanted = [&early, &glob, &by_label, &by_value, &by_image];
    let files: BTreeSet<_> = wanted
        .iter()
        .flat_map(|container| {
            [format!("{}.json", container.name), format!("{}.recording.json", container.name)]
        })
        .collect();
    let written = recorder.written()?;
    ensure!(written == files, "{written:?}, not {files:?}; it said: {}", recorder.said());
    for container in wanted {
        let recording = recorder.recording(&format!("{}.recording.json", container.name))?;
        ensure!(recording.title() == container.name, "{}", recording.title());
        ensure!(recording.boundary.attached_late == (container.name == early.name), "{}", container.name);
    }
    Ok(())
}

/// By name, glob and label: they keep no slot, and get no file. One that was asked for alone is told.
fn excluded() -> Result<()> {
    let prefix = unused_name("exclude");
    let container = |name: &str| Container { name: format!("{prefix}-{name}") };
    let (early, by_name, by_glob) = (container("early"), container("name"), container("proxy-1"));
    let (by_label, wanted) = (container("label"), container("wanted"));
    early.start(&[], "echo up; while :; do sleep 0.05; done")?;
    early.until_said("up")?;
    let (all, label) = (format!("{prefix}-*"), format!("label:{prefix}.sidecar=yes"));
    let excludes = [&early.name, &by_name.name, &format!("{prefix}-proxy-*"), &label];
    let excludes: Vec<&str> = excludes.iter().flat_map(|exclude| ["--exclude", exclude]).collect();
    // Those that are left out stay, and there is room for two at a time.
    let options = ["--max-containers", "2", "--container", &all, "--output-dir", "{}", "--verbose"];
    let mut recorder = Recorder::ready(&[&options[..], &excludes].concat())?;
    let stay = "echo up; while :; do sleep 0.05; done";
    for (left_out, options) in [
        (&by_name, vec![]),
        (&by_glob, vec![]),
        (&by_label, vec!["--label".to_owned(), format!("{prefix}.sidecar=yes")]),
    ] {
        left_out.start(&options.iter().map(String::as_str).collect::<Vec<_>>(), stay)?;
        recorder.until_said(&format!("{} is left out (--exclude)", left_out.name))?;
    }
    wanted.start(&["--label", &format!("{prefix}.sidecar=no")], "true")?;
    wanted.ends_well()?;
    recorder.interrupt()?;
    let written = recorder.written()?;
    ensure!(written == BTreeSet::from([format!("{}.json", wanted.name)]), "{written:?}");

    let label = format!("label:{prefix}.sidecar");
    let mut recorder =
        Recorder::start(&["--container", &by_label.name, "--exclude", &label, "-o", "{}/profile.json"])?;
    recorder.ends_with(2)?;
    recorder.ensure_said(&format!("nothing is left to record: --exclude takes away {}", by_label.name))?;
    ensure!(recorder.written()?.is_empty());
    Ok(())
}

/// Nothing is lost, and it is an error: the second one's profile is saved beside the first one's.
fn second() -> Result<()> {
    let prefix = unused_name("beside");
    let containers = ["1", "2"].map(|number| Container { name: format!("{prefix}-{number}") });
    let run = |container: &Container| {
        format!(
            "{} run --network none --name {} {IMAGE} /bin/busybox true",
            support::docker().get_program().display(),
            container.name
        )
    };
    image()?;
    let script = format!("{} && {}", run(&containers[0]), run(&containers[1]));
    let glob = format!("{prefix}-*");
    let arguments = ["--container", &glob, "-o", "{}/profile.json", "--", "sh", "-c", &script];
    let mut recorder = Recorder::start(&arguments)?;
    recorder.ends_with(125)?;
    recorder.ensure_said("-o takes one container")?;
    let written = recorder.written()?;
    let beside = format!("{}.json", containers[1].name);
    ensure!(written == BTreeSet::from([beside, "profile.json".to_owned()]), "{written:?}");
    Ok(())
}

/// With both names and both files.
fn second_at_once() -> Result<()> {
    let prefix = unused_name("two");
    let containers = ["1", "2"].map(|number| Container { name: format!("{prefix}-{number}") });
    let glob = format!("{prefix}-*");
    let mut recorder = Recorder::ready(&["--container", &glob, "-o", "{}/one.json"])?;
    for container in &containers {
        container.start(&[], "while :; do sleep 0.05; done")?;
    }
    let [first, second] = containers.each_ref().map(|container| container.name.as_str());
    let path = |name: &str| recorder.path(name).display().to_string();
    let said = format!(
        "-o takes one container's profile, and has that of {first} ({}); {second} is one more, and its profile goes to {}: use --output-dir",
        path("one.json"),
        path(&format!("{second}.json"))
    );
    recorder.until_said(&said)?;
    recorder.signal(rustix::process::Signal::INT)?;
    recorder.ends_with(2)?;
    ensure!(recorder.written()? == BTreeSet::from([format!("{second}.json"), "one.json".to_owned()]));
    Ok(())
}

/// It is said at once and fails in the end; those that found room are written.
fn too_many() -> Result<()> {
    let prefix = unused_name("room");
    let containers: Vec<_> = (0..4).map(|number| Container { name: format!("{prefix}-{number}") }).collect();
    let glob = format!("{prefix}-*");
    let arguments = ["--max-containers", "2", "--container", &glob, "--recording-dir", "{}"];
    let mut recorder = Recorder::ready(&arguments)?;
    for container in &containers {
        container.start(&[], "echo up; while :; do sleep 0.05; done")?;
    }
    recorder.until_said("--max-containers")?;
    recorder.signal(rustix::process::Signal::INT)?;
    recorder.ends_with(2)?;
    let written = recorder.written()?;
    ensure!(!written.is_empty() && written.len() <= 2, "{written:?}; it said: {}", recorder.said());
    for file in written {
        let recording = recorder.recording(&file)?;
        ensure!(calls(&recording, None).contains("execve"), "{file}: {recording:?}");
    }
    Ok(())
}
