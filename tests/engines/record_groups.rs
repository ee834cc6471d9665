//! Several containers in one recording: made anew under one name, or replicas of an image or a service.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use seccomp_trace::recording::{GroupBy, Recording, Target};

use crate::container_matrix::command::{output, until};
use crate::container_matrix::container::unused_name;
use crate::recorder::{Container, PATIENCE, Recorder, docker};
use crate::support::{self, Need, Trial};

const NEEDS: &[Need] = &[Need::Kernel, Need::Docker, Need::Busybox];
const COMPOSE: &[Need] = &[Need::Kernel, Need::Docker, Need::Compose, Need::Busybox];
const WAITS: &str = "while :; do sleep 0.05; done";

/// All tests of this file.
pub fn tests() -> Vec<Trial> {
    vec![
        support::test("record_one_that_is_made_anew_under_its_name", NEEDS, made_anew),
        support::test("record_one_that_compose_makes_anew", COMPOSE, made_anew_by_compose),
        support::test("record_replicas_of_an_image_as_one", NEEDS, replicas),
        support::test("record_replicas_of_a_service_as_one", COMPOSE, service),
        support::test("record_a_late_one_whole_by_the_command_that_is_named", NEEDS, late),
    ]
}

/// How many of the containers have made a call; none where nobody has.
fn count(recording: &Recording, name: &str) -> Option<u32> {
    let mut calls = recording.syscalls.values().flatten();
    calls.find(|call| call.name.as_deref() == Some(name)).map(|call| call.containers.unwrap_or(1))
}

fn is_group(recording: &Recording, wanted: GroupBy, size: usize) -> Result<()> {
    let Target::Group { by, containers, .. } = &recording.target else {
        anyhow::bail!("no group: {:?}", recording.target)
    };
    ensure!(*by == wanted && containers.len() == size, "{:?}", recording.target);
    Ok(())
}

fn one_file<'a>(name: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let place = ["--wait", "--container", name, "-o", "{}/profile.json", "--recording", "{}/recording.json"];
    [&place, more].concat()
}

/// Removed, and run again by hand: without a command to wait for it goes on, and ends when none comes any more.
fn made_anew() -> Result<()> {
    let container = Container::named("anew");
    let mut recorder = Recorder::ready(&one_file(&container.name, &[]))?;
    for script in ["mkdir /x", "touch /x; ln /x /y"] {
        container.start(&[], script)?;
        container.ends_well()?;
        container.remove()?;
    }
    recorder.ends_with(0)?;
    let recording = recorder.recording("recording.json")?;
    is_group(&recording, GroupBy::Container, 2)?;
    let counts = ["mkdir", "link", "execve"].map(|name| count(&recording, name));
    ensure!(counts == [Some(1), Some(1), Some(2)] || counts == [Some(1), None, Some(2)], "{counts:?}");
    ensure!(recording.title() == container.name && !recording.boundary.attached_late);
    let written = recorder.written()?;
    ensure!(written.len() == 2, "{written:?}");
    let profile = std::fs::read_to_string(recorder.path("profile.json"))?;
    ensure!(profile.contains("\"mkdir\"") && profile.contains("\"link"), "{profile}");
    Ok(())
}

/// Compose renames the old one, makes the new one, and removes the old one.
fn made_anew_by_compose() -> Result<()> {
    let project = Project::named("compose")?;
    let name = format!("{}_web_1", project.name);
    let mut recorder = Recorder::ready(&one_file(&name, &[]))?;
    for script in ["mkdir /x", "chmod 700 /bin"] {
        project.up(&format!("{script}; echo up; {WAITS}"), 1)?;
        Container::until_said(&Container { name: name.clone() }, "up")?;
    }
    // It goes on: the new one is not over.
    std::thread::sleep(std::time::Duration::from_secs(4));
    project.down()?;
    recorder.ends_with(0)?;
    let recording = recorder.recording("recording.json")?;
    is_group(&recording, GroupBy::Container, 2)?;
    ensure!(count(&recording, "mkdir") == Some(1) && count(&recording, "chmod") == Some(1));
    ensure!(recording.title() == name && recorder.written()?.len() == 2, "{:?}", recorder.written()?);
    Ok(())
}

/// Two replicas that do the same, and a third that does more.
fn replicas() -> Result<()> {
    let prefix = unused_name("replica");
    let glob = format!("{prefix}-*");
    let arguments =
        ["--container", &glob, "--group-by", "image", "--output-dir", "{}", "--recording-dir", "{}"];
    let mut recorder = Recorder::ready(&arguments)?;
    for (number, script) in ["true", "true", "mkdir /x"].into_iter().enumerate() {
        let container = Container { name: format!("{prefix}-{number}") };
        container.start(&[], script)?;
        container.ends_well()?;
    }
    recorder.interrupt()?;
    let image = crate::recorder::IMAGE;
    let recording = recorder.recording(&format!("{image}.recording.json"))?;
    is_group(&recording, GroupBy::Image, 3)?;
    ensure!(count(&recording, "execve") == Some(3) && count(&recording, "mkdir") == Some(1));
    let written = recorder.written()?;
    ensure!(written.len() == 2 && written.contains(&format!("{image}.json")), "{written:?}");
    recorder.ensure_said(&format!("{image} is 3 containers; made by all of them: "))?;
    recorder.ensure_said("mkdir (1)")
}

/// Compose's replicas; what is part of no service has its own recording.
fn service() -> Result<()> {
    let project = Project::named("service")?;
    let glob = format!("{}*", project.name);
    let arguments = ["--container", &glob, "--group-by", "service", "--recording-dir", "{}"];
    let mut recorder = Recorder::ready(&arguments)?;
    project.up("true", 3)?;
    let alone = Container { name: format!("{}-alone", project.name) };
    alone.start(&[], "true")?;
    for number in 1..=3 {
        docker(&["wait", &format!("{}_web_{number}", project.name)])?;
    }
    alone.ends_well()?;
    recorder.interrupt()?;
    let expected =
        [&alone.name, &format!("{}_web", project.name)].map(|name| format!("{name}.recording.json"));
    let written = recorder.written()?;
    ensure!(written.iter().eq(&expected), "{written:?}");
    let recording = recorder.recording(&expected[1])?;
    is_group(&recording, GroupBy::Service, 3)?;
    ensure!(count(&recording, "execve") == Some(3) && recording.title() == format!("{}/web", project.name));
    Ok(())
}

/// A Compose project of one service, `web`; taken down when it goes out of scope.
struct Project {
    name: String,
    folder: tempfile::TempDir,
}

impl Project {
    fn named(what: &str) -> Result<Self> {
        crate::recorder::image()?;
        Ok(Self { name: unused_name(what), folder: support::temp_dir()? })
    }

    /// Makes the containers what they are to be.
    fn up(&self, script: &str, replicas: u32) -> Result<()> {
        let service = serde_json::json!({
            "image": crate::recorder::IMAGE, "network_mode": "none", "command": ["sh", "-c", script],
        });
        let project = serde_json::json!({ "version": "3", "services": { "web": service } });
        std::fs::write(self.folder.path().join("docker-compose.yml"), project.to_string())?;
        self.compose(&["up", "--detach", "--timeout", "0", "--scale", &format!("web={replicas}")])
    }

    fn down(&self) -> Result<()> {
        self.compose(&["down", "--timeout", "0"])
    }

    fn compose(&self, arguments: &[&str]) -> Result<()> {
        let mut compose = Command::new("docker-compose");
        compose.current_dir(self.folder.path()).args(["--project-name", &self.name]).args(arguments);
        output(&mut compose, PATIENCE).map(drop)
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        self.down().ok();
    }
}

/// The message names the command that makes the recording whole; typed, it does.
fn late() -> Result<()> {
    let container = Container::named("late");
    container.start(&[], &format!("mkdir /tmp; mkdir /tmp/x; rm -r /tmp/x; echo up; {WAITS}"))?;
    container.until_said("up")?;
    let mut recorder = Recorder::ready(&one_file(&container.name, &[]))?;
    let command = format!("docker restart {}", container.name);
    recorder.ensure_said(&format!("{}: it was running before (attached late)", container.name))?;
    recorder.ensure_said(&format!("start it anew while this runs: {command}\n"))?;
    let words: Vec<_> = command.split(' ').skip(1).chain(["--time", "0"]).collect();
    docker(&words)?;
    until(PATIENCE, "its second life", || {
        Ok((docker(&["logs", &container.name])?.matches("up").count() == 2).then_some(()))
    })?;
    container.remove()?;
    recorder.ends_with(0)?;
    let recording = recorder.recording("recording.json")?;
    ensure!(!recording.boundary.attached_late, "{:?}", recording.boundary);
    count(&recording, "mkdir").context("its start is missing")?;
    Ok(())
}
