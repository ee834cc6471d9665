//! nginx serving requests: by two workers, before and after a reload, until it is told to quit.

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow};

use super::{Outcome, Program, http};
use crate::container_matrix::command;
use crate::container_matrix::container::Container;

/// It serves the licences that every Debian root has.
pub static NGINX: Program = Program {
    name: "nginx",
    options: &[concat!(
        "--mount=type=bind,readonly,dst=/etc/nginx/nginx.conf,src=",
        env!("CARGO_MANIFEST_DIR"),
        "/../tests/engines/container_matrix/programs/nginx.conf"
    )],
    argv: &["nginx"],
    exercise,
    needs: ["accept4", "recvfrom", "sendfile"],
    recorded: OnceLock::new(),
};

/// With HTTP/1.0, an answer ends where the connection does.
const REQUESTS: [&str; 11] = [
    "GET /BSD HTTP/1.0\r\n\r\n",
    "GET /GPL-3 HTTP/1.0\r\nRange: bytes=1000-1999\r\n\r\n",
    "HEAD /GPL-2 HTTP/1.0\r\n\r\n",
    "GET /large HTTP/1.0\r\n\r\n",
    "GET /missing HTTP/1.0\r\n\r\n",
    "GET /compressed/GPL-3 HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n",
    "GET /list/ HTTP/1.0\r\n\r\n",
    "GET /unbuffered/Apache-2.0 HTTP/1.0\r\n\r\n",
    "GET /proxied/GPL-3 HTTP/1.0\r\n\r\n",
    "POST /BSD HTTP/1.0\r\nContent-Length: 4\r\n\r\nbody",
    "no request\r\n\r\n",
];

fn exercise(container: &Container) -> Result<Outcome> {
    let server = container.serving(8080)?;
    let patience = container.patience;
    let mut output = Vec::new();
    for request in REQUESTS {
        output.extend(http::ask(server, patience, request)?);
    }
    let body = "a line of an upload\n".repeat(5000);
    let upload = format!("POST /upload HTTP/1.0\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    output.extend(http::ask(server, patience, &upload)?);
    output.extend(format!("at once: {}\n", at_once(server, patience)?).into_bytes());

    reload(container)?;
    output.extend(http::ask(server, patience, REQUESTS[0])?);
    container.signal("QUIT")?;
    let exit = container.wait()?;

    // The access log: which of two concurrent requests comes first is chance.
    let log = String::from_utf8_lossy(&container.logs()?.stdout).into_owned();
    let mut log: Vec<&str> = log.lines().collect();
    log.sort_unstable();
    output.extend(log.join("\n").into_bytes());
    Ok(Outcome { exit, output })
}

/// Many connections at the same time, each with many requests: the bytes of all their answers.
fn at_once(server: SocketAddr, patience: Duration) -> Result<usize> {
    thread::scope(|scope| {
        let client = || http::keep_alive(server, patience, "/GPL-3", 20);
        let clients: Vec<_> = (0..16).map(|_| scope.spawn(client)).collect();
        clients.into_iter().map(|client| client.join().map_err(|_| anyhow!("a client panicked"))?).sum()
    })
}

/// Has nginx read its configuration again, and waits until the old workers have ended.
fn reload(container: &Container) -> Result<()> {
    container.signal("HUP")?;
    command::until(container.patience, "the end of the old workers", || {
        let log = container.logs()?.stderr;
        let ended = String::from_utf8_lossy(&log).matches("exited with code 0").count();
        Ok((ended >= 2).then_some(()))
    })
}
