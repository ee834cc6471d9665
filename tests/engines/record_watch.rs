//! `record --watch` with a real engine: whose calls are told, and the screen, of which the README's picture is made.

use std::env;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::container_matrix::command::until;
use crate::container_matrix::container::unused_name;
use crate::container_matrix::image;
use crate::recorder::{Container, IMAGE, PATIENCE, Recorder, docker};
use crate::support::{self, Need, Terminal, Trial};

const NEEDS: &[Need] = &[Need::Kernel, Need::Docker, Need::Busybox];

/// All tests of this file.
pub fn tests() -> Vec<Trial> {
    vec![
        support::test("watch_tells_of_the_containers_asked_for_and_of_no_other", NEEDS, json),
        support::test(
            "watch_shows_real_containers_on_a_real_screen",
            &[Need::Kernel, Need::Docker, Need::Debootstrap, Need::Tmux],
            screen,
        ),
    ]
}

fn json() -> Result<()> {
    let (wanted, stranger) = (Container::named("watched"), Container::named("stranger"));
    let mut recorder = Recorder::ready(&[
        "--container",
        &wanted.name,
        "--wait",
        "--watch",
        "--watch-format",
        "json",
        "-o",
        "{}/profile.json",
    ])?;
    stranger.start(&[], "echo up; sleep 1000")?;
    stranger.until_said("up")?;
    // Docker's default profile denies it.
    wanted.start(&[], "mount -t tmpfs none /proc; echo up; sleep 1000")?;
    wanted.until_said("up")?;
    let id = docker(&["inspect", "--format", "{{.Id}}", &wanted.name])?.trim().to_owned();
    // As it happens, and not at the end.
    until(PATIENCE, "a line of nanosleep", || {
        Ok(told(&recorder)?
            .iter()
            .any(|line| line["name"].as_str().is_some_and(|name| name.ends_with("nanosleep")))
            .then_some(()))
    })?;
    recorder.interrupt()?;
    let told = told(&recorder)?;
    ensure!(
        told.iter().all(|line| line["container"] == wanted.name.as_str() && line["id"] == id.as_str()),
        "{told:?}"
    );
    let of = |event: &str| told.iter().filter(|line| line["event"] == event).cloned().collect::<Vec<_>>();
    let containers = of("container");
    ensure!(
        containers.iter().any(|line| line["image"] == IMAGE && line["engine"] == "docker"),
        "{containers:?}"
    );
    let denied = of("denied");
    ensure!(
        denied.len() == 1 && denied[0]["name"] == "mount" && denied[0]["own_filter"] == false,
        "{denied:?}"
    );
    let calls = of("syscall");
    ensure!(calls.iter().any(|line| line["name"] == "execve"), "{calls:?}");
    // The lines have stdout, and what is said stderr.
    recorder.ensure_said("the profile allows")
}

fn told(recorder: &Recorder) -> Result<Vec<Value>> {
    let text = fs::read_to_string(recorder.path("stdout"))?;
    // The last one may be half written.
    let whole = text.rfind('\n').and_then(|end| text.get(..end)).unwrap_or_default();
    whole.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
}

/// Where the picture is wanted, as `cargo xtask picture` does.
const PICTURE: &str = "SECCOMP_TRACE_PICTURE";

/// A web server under load, a shell in it that is denied something, and a database beside it.
fn screen() -> Result<()> {
    let image = image::name()?;
    // In the picture they have the names that people give.
    let prefix = if env::var_os(PICTURE).is_some() { String::new() } else { unused_name("watch") + "-" };
    let [web, cache] = ["web", "cache"].map(|name| Container { name: format!("{prefix}{name}") });
    let folder = support::temp_dir()?;
    let program = support::program().get_program().to_string_lossy().into_owned();
    let script = format!(
        "cd {} && {program} record --watch --wait --container {} --container {} --output-dir profiles",
        folder.path().display(),
        web.name,
        cache.name
    );
    fs::create_dir(folder.path().join("profiles"))?;
    // Time for a history, where a picture is made of it.
    let pause = |seconds| {
        if env::var_os(PICTURE).is_some() {
            thread::sleep(Duration::from_secs(seconds));
        }
    };
    let terminal = Terminal::start(&script, (140, 36), &[("LANG", "C.UTF-8")])?;
    terminal.wait_for("q")?;
    docker(&["run", "--detach", "--name", &web.name, image, "nginx", "-g", "daemon off;"])?;
    docker(&["run", "--detach", "--name", &cache.name, image, "redis-server"])?;
    terminal.wait_for("2 containers")?;
    pause(6);
    let load = "i=0; while [ $i -lt 400 ]; do python3 -c 'import urllib.request as u\nfor i in range(50): u.urlopen(\"http://localhost/\").read()'; i=$((i+1)); done";
    docker(&["exec", "--detach", &web.name, "sh", "-c", load])?;
    // Before the shell's calls, of which there are a screenful.
    terminal.wait("nginx' answers", |screen| screen.contains("accept4"))?;
    pause(8);
    // A shell in it, which Docker's default profile denies a mount.
    docker(&["exec", &web.name, "sh", "-c", "mount -t tmpfs none /mnt; true"])?;
    let screen =
        terminal.wait("a denied mount", |screen| screen.contains("mount") && screen.contains("EPERM"))?;
    ensure!(screen.contains("docker") && screen.contains("profiles/"), "{screen}");
    if let Some(path) = env::var_os(PICTURE) {
        pause(4);
        draw(&terminal.styled()?, Path::new(&path))?;
    }
    terminal.press(&["q"])?;
    terminal.ended(0)?;
    let written = folder.path().join("profiles").join(format!("{}.json", web.name));
    ensure!(fs::read_to_string(&written)?.contains("accept4"));
    Ok(())
}

/// The screen as an SVG.
fn draw(screen: &str, path: &Path) -> Result<()> {
    let picture = anstyle_svg::Term::new().render_svg(screen);
    fs::write(path, picture).with_context(|| path.display().to_string())
}
