//! The image of the static program and nothing else, run beside other containers by the README's command: what it records is
//! what the program records outside, and each thing that the command gives it is needed and missed by its name.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use seccomp_trace::recording::{Origin, Recording};

use crate::container_matrix::command::until;
use crate::container_matrix::container::unused_name;
use crate::readme::{MyWeb, README, example};
use crate::recorder::{Container, PATIENCE, Recorder, calls, docker};
use crate::support::{self, Need, Trial, exclusive, test};

const BEGIN: &str = "<!-- example: tests/engines/static_image.rs runs this -->\n```console\n";
const DOCKERFILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/Dockerfile");
const NEEDS: &[Need] = &[Need::Kernel, Need::Docker, Need::Busybox, Need::Static];
const README_NEEDS: &[Need] = &[Need::Kernel, Need::Docker, Need::Debootstrap, Need::Curl, Need::Static];
const CONTAINER: &str = "mkdir /tmp && chmod 700 /tmp; while [ ! -e /tmp/end ]; do usleep 20000; done";

/// The tests.
pub fn tests() -> Vec<Trial> {
    vec![
        exclusive("the_readmes_command_for_the_image_does_what_it_says", README_NEEDS, readme).only_in_full(),
        test("the_image_records_what_the_program_records", NEEDS, records).only_in_full(),
        test("the_image_says_what_it_was_not_given", NEEDS, says_what_is_missing).only_in_full(),
        test("the_image_sees_a_container_that_ran_before", NEEDS, attaches_late).only_in_full(),
        test("the_static_program_looks_up_users_in_files", NEEDS, looks_up_users).only_in_full(),
    ]
}

fn readme() -> Result<()> {
    let folder = support::temp_dir()?;
    let _web = MyWeb::make()?;
    // The archive's folder, and the script of the first example.
    let archive = folder.path().join(format!("seccomp-trace-{}-x86_64-linux", env!("CARGO_PKG_VERSION")));
    fs::create_dir(&archive)?;
    fill(&archive)?;
    let script = README.split("$ cat integration-tests.sh\n").nth(1).and_then(|rest| rest.split("$ ").next());
    fs::write(
        folder.path().join("integration-tests.sh"),
        script.context("README.md has no integration-tests.sh")?,
    )?;
    let block = README.split(BEGIN).nth(1).and_then(|rest| rest.split("```").next());
    let done = example(block.context("README.md has no example with the image")?, folder.path())
        .and_then(|()| has_failures(folder.path()));
    docker(&["rm", "--force", "recorder"])?;
    docker(&["image", "rm", "--force", "seccomp-trace"])?;
    done
}

/// The README's script has left a profile. Where the tests fail, or the recorder does, it ends, too, and fails.
fn has_failures(folder: &Path) -> Result<()> {
    ensure!(folder.join("profiles/web.json").exists(), "no profile");
    let script = || {
        let output =
            support::run_with_timeout(Command::new("sh").arg("record.sh").current_dir(folder), PATIENCE)?;
        docker(&["rm", "recorder"])?;
        anyhow::Ok(output.status.code())
    };
    fs::write(folder.join("integration-tests.sh"), "exit 7")?;
    ensure!(script()? == Some(7));
    let text = fs::read_to_string(folder.join("record.sh"))?;
    fs::write(folder.join("record.sh"), text.replace("--cap-add SYS_ADMIN", ""))?;
    ensure!(script()? == Some(1));
    Ok(())
}

/// What the archive has for an image.
fn fill(folder: &Path) -> Result<()> {
    fs::copy(support::static_program()?, folder.join("seccomp-trace"))?;
    fs::copy(DOCKERFILE, folder.join("Dockerfile"))?;
    Ok(())
}

/// The image, removed when it goes out of scope.
struct Image(String);

impl Image {
    fn make() -> Result<Self> {
        let folder = support::temp_dir()?;
        fill(folder.path())?;
        let image = Self(unused_name("static-image"));
        docker(&["build", "--quiet", "--tag", &image.0, folder.path().to_str().context("not UTF-8")?])?;
        Ok(image)
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        docker(&["image", "rm", "--force", &self.0]).ok();
    }
}

/// The options of `docker run` in the README's command, each with its value: the words between `--read-only` and the image.
fn options() -> Result<Vec<String>> {
    let (_, rest) = README.split_once("--network none ").context("README.md has no command for the image")?;
    let (options, _) = rest.split_once(" seccomp-trace record").context("README.md's command has no end")?;
    Ok(options.split_whitespace().filter(|word| *word != "\\").map(str::to_owned).collect())
}

/// A folder for the results, and the container that writes into it: removed when it goes out of scope.
struct Inside {
    image: Image,
    container: Container,
    folder: tempfile::TempDir,
}

impl Inside {
    fn new() -> Result<Self> {
        Ok(Self {
            image: Image::make()?,
            container: Container::named("inside"),
            folder: support::temp_dir()?,
        })
    }

    /// Starts `record` with these options of docker.
    fn start(&self, options: &[String], arguments: &[&str]) -> Result<()> {
        let place = self.folder.path().to_str().context("not UTF-8")?;
        let options: Vec<_> =
            options.iter().map(|word| word.replace("\"$PWD\"", place).replace("$PWD", place)).collect();
        let mut run =
            vec!["run", "--detach", "--read-only", "--network", "none", "--name", &self.container.name];
        run.extend(options.iter().map(|word| word.trim_matches('"')));
        run.extend([self.image.0.as_str(), "record"]);
        run.extend(arguments);
        docker(&run).map(drop)
    }

    /// All that it has said.
    fn said(&self) -> Result<String> {
        let mut logs = support::docker();
        logs.args(["logs", &self.container.name]);
        let output = support::run_with_timeout(&mut logs, PATIENCE)?;
        Ok(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    }

    fn until_said(&self, text: &str) -> Result<()> {
        until(PATIENCE, text, || {
            let said = self.said()?;
            let has_ended = docker(&["inspect", "--format", "{{.State.Running}}", &self.container.name])?
                .trim()
                == "false";
            ensure!(said.contains(text) || !has_ended, "it has ended without {text:?}: {said}");
            Ok(said.contains(text).then_some(()))
        })
    }

    /// Waits for its end.
    fn ends_with(&self, code: &str) -> Result<()> {
        let ended = docker(&["wait", &self.container.name])?;
        ensure!(ended.trim() == code, "it ended with {ended}, not {code}: {}", self.said()?);
        Ok(())
    }

    fn results(&self) -> PathBuf {
        self.folder.path().join("profiles")
    }
}

/// Both record the same container at the same time.
fn records() -> Result<()> {
    let subject = Container::named("subject");
    let inside = Inside::new()?;
    fs::create_dir(inside.results())?;
    let arguments = [
        "--wait",
        "--container",
        &subject.name,
        "--engine",
        "docker",
        "--output-dir",
        "/profiles",
        "--recording-dir",
        "/profiles",
    ];
    inside.start(&options()?, &arguments)?;
    let outside =
        ["--wait", "--container", &subject.name, "--engine", "docker", "--recording", "{}/recording.json"];
    let mut outside = Recorder::ready(&outside)?;
    inside.until_said("note: ready")?;
    subject.start(&[], CONTAINER)?;
    docker(&["exec", &subject.name, "touch", "/tmp/end"])?;
    subject.ends_well()?;
    subject.remove()?;
    inside.ends_with("0")?;
    outside.ends_with(0)?;
    let theirs = Recording::read(&inside.results().join(format!("{}.recording.json", subject.name)))?;
    let ours = outside.recording("recording.json")?;
    ensure!(calls(&ours, Some(Origin::Application)).contains("chmod"), "{:?}", calls(&ours, None));
    for origin in [Some(Origin::Application), Some(Origin::Joined), None] {
        ensure!(calls(&theirs, origin) == calls(&ours, origin), "{origin:?}: {theirs:?} and {ours:?}");
    }
    ensure!(inside.results().join(format!("{}.json", subject.name)).exists(), "no profile");
    Ok(())
}

/// Each part of the command, left out or turned round, with what is then said.
fn says_what_is_missing() -> Result<()> {
    let whole = options()?;
    let place = "/profiles";
    let cases: &[(&[&str], &[&str], &[&str])] = &[
        (&["--pid", "host"], &[], &["can't see the host's processes", "--pid=host"]),
        (
            &["--cgroupns", "host"],
            &["--cgroupns", "private"],
            &["only a part of the cgroup v2 hierarchy", "--cgroupns=host"],
        ),
        (&["--cap-add", "SYS_ADMIN"], &[], &["missing CAP_BPF, CAP_PERFMON;", "--cap-add=SYS_ADMIN"]),
        (&["--cap-add", "SYS_PTRACE"], &[], &["missing CAP_SYS_PTRACE;", "--cap-add=SYS_PTRACE"]),
        (&["--cap-add", "DAC_OVERRIDE"], &[], &["missing CAP_DAC_OVERRIDE;", "--cap-add=DAC_OVERRIDE"]),
        (
            &["--volume", "/sys/fs/cgroup:/sys/fs/cgroup:ro"],
            &[],
            &["cgroup v2 hierarchy", "--volume=/sys/fs/cgroup:/sys/fs/cgroup:ro"],
        ),
        (
            &["--volume", "/var/run/docker.sock:/var/run/docker.sock"],
            &[],
            &["--volume=/var/run/docker.sock:/var/run/docker.sock"],
        ),
        (&["--volume", "\"$PWD/profiles:/profiles\""], &[], &["/profiles does not exist", "--volume="]),
    ];
    let given = whole.chunks(2).filter(|option| !matches!(option, [name, _] if name == "--cap-drop"));
    ensure!(given.count() == cases.len(), "a part of the README's command is not tried: {whole:?}");
    for (without, instead, words) in cases {
        let at = whole.windows(2).position(|pair| pair == *without);
        let at = at.with_context(|| format!("README.md's command has no {without:?}: {whole:?}"))?;
        let mut options = whole.clone();
        options.splice(at..at + 2, instead.iter().map(|word| (*word).to_owned()));
        let inside = Inside::new()?;
        fs::create_dir(inside.results())?;
        inside.start(
            &options,
            &["--engine", "docker", "--wait", "--container", "web", "--output-dir", place],
        )?;
        inside.ends_with("2").with_context(|| format!("without {without:?}"))?;
        let said = inside.said()?;
        ensure!(
            words.iter().all(|word| said.contains(word)),
            "without {without:?}: {words:?} are not in: {said}"
        );
        ensure!(fs::read_dir(inside.results())?.next().is_none(), "without {without:?} it wrote something");
    }
    Ok(())
}

/// Its processes are found by their ids, which are the host's.
fn attaches_late() -> Result<()> {
    let subject = Container::named("subject");
    subject.start(&[], CONTAINER)?;
    let inside = Inside::new()?;
    fs::create_dir(inside.results())?;
    let arguments = ["--engine", "docker", "--container", &subject.name, "--recording", "/profiles/r.json"];
    inside.start(&options()?, &arguments)?;
    inside.until_said("note: ready")?;
    inside.until_said("attached late")?;
    docker(&["exec", &subject.name, "touch", "/tmp/end"])?;
    subject.ends_well()?;
    subject.remove()?;
    inside.ends_with("0")?;
    let recording = Recording::read(&inside.results().join("r.json"))?;
    ensure!(
        calls(&recording, None).contains("access") || calls(&recording, None).contains("newfstatat"),
        "{recording:?}"
    );
    Ok(())
}

/// The machine's other sources of users are libraries, which a static program can't load.
fn looks_up_users() -> Result<()> {
    let program = support::static_program()?;
    let folder = support::temp_dir()?;
    let switch = folder.path().join("nsswitch.conf");
    fs::write(&switch, "passwd: systemd files\ngroup: systemd files\nhosts: mymachines files\n")?;
    let profile = folder.path().join("p.json");
    let script = "mount --bind \"$1\" /etc/nsswitch.conf && shift && exec \"$@\"";
    let run = |user: &str| {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", script, "sh"]).arg(&switch).arg(&program);
        command.args(["run", "--user", user, "-o"]).arg(&profile).args(["--", "id", "-un"]);
        support::run_with_timeout(&mut command, PATIENCE)
    };
    let output = run("daemon")?;
    ensure!(output.status.success() && output.stdout == b"daemon\n", "{output:?}");
    let output = run("nobody-of-this-name")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(125) && said.contains("in /etc/passwd"), "{output:?}");
    Ok(())
}
