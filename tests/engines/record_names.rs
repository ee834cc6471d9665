//! Who is meant by a name or an image, where the engine tells it late; whose files are whose; and slots that many
//! have had before.

use std::{collections::BTreeSet, fs};

use anyhow::{Result, bail, ensure};
use seccomp_trace::recording::{BoundaryMethod, Origin};

use crate::container_matrix::container::unused_name;
use crate::recorder::{Container, Recorder, calls, docker, ensure_calls, image};
use crate::support::{self, Need, Trial};

const NEEDS: &[Need] = &[Need::Kernel, Need::Docker, Need::Busybox];

/// All tests of this file.
pub fn tests() -> Vec<Trial> {
    vec![
        support::test("record_two_by_name_replaces_no_file_of_the_other", NEEDS, beside),
        support::test("record_a_container_that_was_renamed_before_its_start", NEEDS, renamed),
        support::test("record_by_the_id_of_an_image", NEEDS, by_image_id),
        support::test("record_in_a_slot_that_others_had", NEEDS, slots_again),
    ]
}

fn title(recorder: &Recorder, file: &str) -> Result<String> {
    Ok(recorder.recording(file)?.title().into_owned())
}

/// `-o` is named like the one that comes second, or like nobody, and then a stranger's file is there.
fn beside() -> Result<()> {
    let prefix = unused_name("files");
    let [a, b] = ["a", "b"].map(|name| Container { name: format!("{prefix}-{name}") });
    for has_strangers in [false, true] {
        let file = if has_strangers { "first".to_owned() } else { a.name.clone() };
        let (profile, recording) = (format!("{{}}/{file}.json"), format!("{{}}/{file}.recording.json"));
        let mut recorder = Recorder::ready(&[
            "--wait",
            "--container",
            &a.name,
            "--container",
            &b.name,
            "-o",
            &profile,
            "--recording",
            &recording,
        ])?;
        let strangers = ["json", "recording.json"].map(|ending| format!("{}.{ending}", a.name));
        for stranger in strangers.iter().filter(|_| has_strangers) {
            fs::write(recorder.path(stranger), "a stranger's")?;
        }
        for container in [&b, &a] {
            container.start(&[], "true")?;
            container.ends_well()?;
            container.remove()?;
        }
        recorder.ends_with(2)?;
        recorder.ensure_said("-o takes one container")?;
        let written = recorder.written()?;
        ensure!(written.len() == if has_strangers { 6 } else { 4 }, "{written:?}");
        ensure!(title(&recorder, &format!("{file}.recording.json"))? == b.name, "{}", recorder.said());
        let recordings = written.iter().filter(|name| name.ends_with(".recording.json"));
        let own = recordings.filter(|name| !has_strangers || !strangers.contains(name));
        let titles = own.map(|name| title(&recorder, name)).collect::<Result<BTreeSet<_>>>()?;
        ensure!(titles == BTreeSet::from([a.name.clone(), b.name.clone()]), "{titles:?} in {written:?}");
        for stranger in strangers.iter().filter(|_| has_strangers) {
            ensure!(fs::read_to_string(recorder.path(stranger))? == "a stranger's", "{stranger}");
        }
    }
    Ok(())
}

/// Its create event has another name than it has when it starts.
fn renamed() -> Result<()> {
    let container = Container::named("renamed");
    let before = Container { name: format!("tmp_{}", container.name) };
    for is_created_before in [false, true] {
        let create = || -> Result<()> {
            docker(&["create", "--network", "none", "--name", &before.name, image()?, "mkdir", "/x"])?;
            docker(&["rename", &before.name, &container.name]).map(drop)
        };
        if is_created_before {
            create()?;
        }
        let arguments =
            ["--wait", "--container", &container.name, "--output-dir", "{}", "--recording-dir", "{}"];
        let mut recorder = Recorder::ready(&arguments)?;
        if !is_created_before {
            create()?;
        }
        docker(&["start", &container.name])?;
        container.ends_well()?;
        container.remove()?;
        recorder.ends_with(0)?;
        let file = format!("{}.recording.json", container.name);
        let files = BTreeSet::from([format!("{}.json", container.name), file.clone()]);
        ensure!(recorder.written()? == files, "{:?}", recorder.written()?);
        ensure!(title(&recorder, &file)? == container.name);
        ensure_calls(&recorder.recording(&file)?, Origin::Application, &["mkdir"], &["mount"])?;
    }
    Ok(())
}

/// An image of the test's own; gone with the value.
struct Image(String);

impl Drop for Image {
    fn drop(&mut self) {
        docker(&["rmi", "--force", &self.0]).ok();
    }
}

/// An event does not tell it.
fn by_image_id() -> Result<()> {
    let (base, container, stranger) =
        (Container::named("base"), Container::named("image"), Container::named("stranger"));
    docker(&["create", "--name", &base.name, image()?, "true"])?;
    let tag = Image(format!("{}-image", base.name));
    let id = docker(&["commit", "--change", &format!("LABEL of={}", base.name), &base.name, &tag.0])?;
    let id = id.trim();
    ensure!(id.starts_with("sha256:"), "{id}");
    let mut recorder = Recorder::ready(&["--image", id, "--output-dir", "{}", "--recording-dir", "{}"])?;
    stranger.start(&[], "true")?;
    stranger.ends_well()?;
    docker(&["run", "--network", "none", "--name", &container.name, &tag.0, "mkdir", "/x"])?;
    recorder.interrupt()?;
    let file = format!("{}.recording.json", container.name);
    let files = BTreeSet::from([format!("{}.json", container.name), file.clone()]);
    ensure!(recorder.written()? == files, "{:?}; it said: {}", recorder.written()?, recorder.said());
    let recording = recorder.recording(&file)?;
    ensure!(recording.boundary.method == BoundaryMethod::Filter, "{:?}", recording.boundary);
    ensure_calls(&recording, Origin::Application, &["mkdir"], &["mount"])
}

/// Other containers of this host may take the two slots in the very instant of a start: then once more.
fn slots_again() -> Result<()> {
    for in_two_slots in [after_strangers, by_turns] {
        if !(0..5).map(|_| in_two_slots()).find(|done| !matches!(done, Ok(false))).unwrap_or(Ok(false))? {
            bail!("others took the slots five times");
        }
    }
    Ok(())
}

/// Ten that nobody asked for have had the two slots before. False where somebody else took the slots.
fn after_strangers() -> Result<bool> {
    let container = Container::named("slots");
    let arguments =
        ["--max-containers", "2", "--wait", "--container", &container.name, "--recording", "{}/x.json"];
    let mut recorder = Recorder::ready(&arguments)?;
    for _ in 0..10 {
        docker(&["run", "--rm", "--network", "none", image()?, "mkdir", "/x"])?;
    }
    container.start(&[], "mkdir /x; rmdir /x")?;
    container.ends_well()?;
    container.remove()?;
    if recorder.said().contains("--max-containers") {
        return Ok(false);
    }
    recorder.ends_with(0)?;
    has_its_own(&recorder, "x.json").map(|()| true)
}

/// Six that were asked for, with an application each, have them one after another. False as above.
fn by_turns() -> Result<bool> {
    let prefix = unused_name("turns");
    let glob = format!("{prefix}-*");
    let arguments = ["--max-containers", "2", "--container", &glob, "--recording-dir", "{}"];
    let mut recorder = Recorder::ready(&arguments)?;
    let containers: Vec<_> = (0..6).map(|turn| Container { name: format!("{prefix}-{turn}") }).collect();
    for container in &containers {
        container.start(&[], "mkdir /x; rmdir /x")?;
        container.ends_well()?;
        container.remove()?;
    }
    if recorder.said().contains("--max-containers") {
        return Ok(false);
    }
    recorder.interrupt()?;
    let has_its_own =
        |container: &Container| has_its_own(&recorder, &format!("{}.recording.json", container.name));
    containers.iter().try_for_each(has_its_own).map(|()| true)
}

/// Its boundary is that of its filter, and nothing of it has joined somebody else's application.
fn has_its_own(recorder: &Recorder, file: &str) -> Result<()> {
    let recording = recorder.recording(file)?;
    ensure!(recording.boundary.method == BoundaryMethod::Filter, "{:?}", recording.boundary);
    ensure!(!recording.boundary.attached_late, "{:?}", recording.boundary);
    let joined = calls(&recording, Some(Origin::Joined));
    ensure!(joined.is_empty(), "{joined:?}");
    ensure_calls(&recording, Origin::Runtime, &["execve"], &["mkdir"])?;
    ensure_calls(&recording, Origin::Application, &["mkdir", "rmdir"], &["mount"])
}
