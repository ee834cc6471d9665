//! An engine that answers as Docker's API does, and has the containers that a test tells it: for what the recorder makes of
//! cgroups, where no container is needed.

use crate::support;
use anyhow::Result;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::{UnixListener, UnixStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};
use tempfile::TempDir;

/// See the module.
pub struct FakeEngine {
    folder: TempDir,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// Names by ids.
    containers: Mutex<BTreeMap<String, String>>,
    listeners: Mutex<Vec<UnixStream>>,
    is_over: AtomicBool,
}

impl FakeEngine {
    pub fn start() -> Result<Self> {
        let (folder, shared) = (support::temp_dir()?, Arc::<Shared>::default());
        let listener = UnixListener::bind(folder.path().join("docker.sock"))?;
        let of_thread = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if of_thread.is_over.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&of_thread);
                thread::spawn(move || shared.serve(stream));
            }
        });
        Ok(Self { folder, shared })
    }

    /// The variable that leads to it.
    pub fn host(&self) -> (&'static str, String) {
        ("DOCKER_HOST", format!("unix://{}", self.folder.path().join("docker.sock").display()))
    }

    /// A container is made.
    pub fn create(&self, id: &str, name: &str) {
        lock(&self.shared.containers).insert(id.to_owned(), name.to_owned());
        let event = json!({
            "Type": "container", "Action": "create", "Actor": {"ID": id, "Attributes": {"name": name, "image": "fake"}},
        });
        let line = format!("{event}\n");
        let chunk = format!("{:x}\r\n{line}\r\n", line.len());
        lock(&self.shared.listeners).retain_mut(|stream| stream.write_all(chunk.as_bytes()).is_ok());
    }
}

impl Drop for FakeEngine {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        UnixStream::connect(self.folder.path().join("docker.sock")).ok();
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn serve(&self, stream: UnixStream) -> Option<()> {
        let mut answers = stream.try_clone().ok()?;
        let mut lines = BufReader::new(stream).lines();
        loop {
            let request = lines.next()?.ok()?;
            while !lines.next()?.ok()?.is_empty() {}
            if request.contains("/events") {
                let head =
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
                answers.write_all(head.as_bytes()).ok()?;
                lock(&self.listeners).push(answers);
                return None;
            }
            let (status, body) = self.answer(&request);
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nApi-Version: 1.41\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            answers.write_all(head.as_bytes()).ok()?;
            answers.write_all(body.as_bytes()).ok()?;
        }
    }

    fn answer(&self, request: &str) -> (&'static str, String) {
        let ok = |value: Value| ("200 OK", value.to_string());
        if request.contains("/_ping") {
            return ("200 OK", "OK".to_owned());
        } else if request.contains("/version") {
            return ok(json!({"Version": "0.0.0", "ApiVersion": "1.41", "MinAPIVersion": "1.12"}));
        } else if request.contains("/info") {
            return ok(json!({}));
        } else if request.contains("/containers/json") {
            return ok(json!([]));
        }
        let containers = lock(&self.containers);
        let found = containers.iter().find(|(id, _)| request.contains(id.as_str()));
        match found.filter(|_| request.contains("/containers/")) {
            Some((id, name)) => ok(json!({
                "Id": id, "Name": format!("/{name}"), "Config": {"Image": "fake"}, "State": {"Running": false, "Pid": 0},
            })),
            None => ("404 Not Found", json!({"message": "No such container"}).to_string()),
        }
    }
}
