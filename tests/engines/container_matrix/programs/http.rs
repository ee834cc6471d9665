//! As much of an HTTP client as the exercise of nginx needs: requests as text, answers as bytes.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// Sends one request on a connection of its own and gives the whole answer.
pub fn ask(server: SocketAddr, patience: Duration, request: &str) -> Result<Vec<u8>> {
    let mut stream = connect(server, patience)?;
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).with_context(|| format!("no answer to {:?}", request.lines().next()))?;
    if answer.is_empty() {
        bail!("an empty answer to {:?}", request.lines().next());
    }
    Ok(without_date(&answer))
}

/// Gets `path` `times` times on one connection, and gives the bodies' bytes in all.
pub fn keep_alive(server: SocketAddr, patience: Duration, path: &str, times: usize) -> Result<usize> {
    let mut stream = BufReader::new(connect(server, patience)?);
    let mut total = 0;
    for _ in 0..times {
        stream.get_mut().write_all(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n").as_bytes())?;
        let length = length(&mut stream)?;
        let mut body = vec![0; length];
        stream.read_exact(&mut body)?;
        total += length;
    }
    Ok(total)
}

/// Reads an answer's head and gives its body's length.
fn length(stream: &mut BufReader<TcpStream>) -> Result<usize> {
    let mut length = None;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            bail!("the connection was closed");
        }
        if let Some(value) = line.strip_prefix("Content-Length: ") {
            length = Some(value.trim().parse()?);
        }
        if line == "\r\n" {
            return length.context("an answer without a length");
        }
    }
}

fn connect(server: SocketAddr, patience: Duration) -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&server, patience)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    Ok(stream)
}

/// The answer without its `Date` line, the only one that changes.
fn without_date(answer: &[u8]) -> Vec<u8> {
    let head = answer.windows(4).position(|window| window == b"\r\n\r\n").map_or(answer.len(), |at| at + 2);
    let (head, body) = answer.split_at(head);
    let lines = head.split_inclusive(|byte| *byte == b'\n').filter(|line| !line.starts_with(b"Date: "));
    lines.flatten().chain(body).copied().collect()
}
