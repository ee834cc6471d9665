//! Engines that say more than anybody wants to hear.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;

use super::*;

/// Answers each request by `head`, `part` so many times, and `tail`; counts what it could write.
struct Server {
    folder: TempDir,
    written: Arc<AtomicUsize>,
}

impl Server {
    fn start(head: &str, part: &str, times: usize, tail: &str) -> Self {
        let server = Self { folder: tempfile::tempdir().unwrap(), written: Arc::default() };
        let listener = UnixListener::bind(server.folder.path().join("engine.sock")).unwrap();
        let (head, part, tail) = (head.to_owned(), part.to_owned(), tail.to_owned());
        let written = Arc::clone(&server.written);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 4096]).await;
                let parts = std::iter::repeat_n(&part, times);
                for text in [&head].into_iter().chain(parts).chain([&tail]) {
                    if stream.write_all(text.as_bytes()).await.is_err() {
                        break;
                    }
                    written.fetch_add(text.len(), Ordering::Relaxed);
                }
            }
        });
        server
    }

    fn place(&self) -> Place {
        Place::Unix(self.folder.path().join("engine.sock"))
    }

    /// As much as was taken, and what is on its way.
    fn ensure_bounded(&self, limit: usize) {
        let written = self.written.load(Ordering::Relaxed);
        assert!(written < limit + (2 << 20), "{written} bytes were taken");
    }
}

const PLAIN: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

fn kilobyte() -> String {
    "x".repeat(1000)
}

#[tokio::test]
async fn an_answer_without_an_end_is_an_error_that_names_the_bound() {
    for (limit, mib) in [(LARGEST, "8 MiB"), (LARGEST_LIST, "32 MiB")] {
        let server = Server::start(PLAIN, &kilobyte(), 1_000_000, "");
        let error = get(&server.place(), "/x", limit).await.unwrap_err();
        let found = TooLarge::of(&error).expect("another error");
        assert!(found.to_string().contains(mib), "{error}");
        server.ensure_bounded(limit);
    }
}

/// The chunks have ends of lines between them, the event has none.
#[tokio::test]
async fn an_event_without_an_end_is_an_error() {
    let server = Server::start(CHUNKED, &format!("3e8\r\n{}\r\n", kilobyte()), 1_000_000, "");
    let mut lines = Lines::get(&server.place(), "/events").await.unwrap();
    let error = lines.next().await.unwrap_err();
    assert!(TooLarge::of(&error).is_some(), "{error}");
    server.ensure_bounded(LARGEST + LARGEST / 50);
}

#[tokio::test]
async fn lines_come_whole_however_they_are_cut() {
    let parts = "4\r\none\n\r\n5\r\n\ntw\no\r\n6\r\n\nthree\r\n";
    let server = Server::start(CHUNKED, parts, 1, "0\r\n\r\n");
    let mut lines = Lines::get(&server.place(), "/events").await.unwrap();
    let mut all = Vec::new();
    while let Some(line) = lines.next().await.unwrap() {
        all.push(String::from_utf8_lossy(&line).into_owned());
    }
    assert_eq!(all, ["one", "tw", "o", "three"]);
}

/// As much as is taken of all of them together is no bound of a stream.
#[tokio::test]
async fn a_stream_of_many_lines_has_no_bound() {
    let line = format!("3e9\r\n{}\n\r\n", kilobyte());
    let server = Server::start(CHUNKED, &line, 3 * LARGEST / 1000, "0\r\n\r\n");
    let mut lines = Lines::get(&server.place(), "/events").await.unwrap();
    let mut count = 0;
    while lines.next().await.unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, 3 * LARGEST / 1000);
}

#[tokio::test]
async fn a_list_of_more_than_can_be_is_an_error() {
    let items = "{},".repeat(1000);
    for (times, is_taken) in [(65, true), (66, false)] {
        let server = Server::start(&format!("{PLAIN}["), &items, times, "{}]");
        let listed = list::<serde_json::Map<String, serde_json::Value>>(&server.place(), "/x").await;
        assert_eq!(listed.is_ok(), is_taken, "{:?}", listed.map(|list| list.len()));
    }
}

/// An engine that hangs costs no connection for each question.
#[tokio::test]
async fn who_gives_up_leaves_no_connection_behind() {
    for head in ["", PLAIN, CHUNKED] {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("engine.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let place = Place::Unix(socket);
        let asked = tokio::time::timeout(Duration::from_millis(100), get(&place, "/x", LARGEST));
        let answers = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            assert!(stream.read(&mut request).await.unwrap() > 0);
            stream.write_all(head.as_bytes()).await.unwrap();
            // Until the other side has gone.
            tokio::time::timeout(Duration::from_secs(5), stream.read(&mut request)).await
        };
        let (asked, closed) = tokio::join!(asked, answers);
        assert!(asked.is_err() && matches!(closed, Ok(Ok(0))), "{head:?}: {closed:?}");
    }
}

#[tokio::test]
async fn what_an_engine_refuses_is_said_in_its_words() {
    let head = "HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n";
    let server = Server::start(head, r#"{"message":"no such thing"}"#, 1, "");
    let refused = get(&server.place(), "/x", LARGEST).await.unwrap_err();
    let of_lines = Lines::get(&server.place(), "/x").await.err().unwrap();
    for error in [refused, of_lines] {
        let Error::DockerResponseServerError { status_code: 404, message } = error else { panic!("{error}") };
        assert_eq!(message, "no such thing");
    }
}

/// bollard's own calls are bounded as well.
#[tokio::test]
async fn bollard_takes_no_more_than_the_bound() {
    let server = Server::start(PLAIN, &kilobyte(), 1_000_000, "");
    let client = client(server.place(), 10).unwrap();
    let error = client.info().await.unwrap_err();
    assert!(TooLarge::of(&error).is_some(), "{error}");
    let said = crate::engine::docker::fault("docker", &"here", &error).to_string();
    assert_eq!(
        said,
        "docker: what it says is larger than 8 MiB, and is not taken; look what answers at here"
    );
    server.ensure_bounded(LARGEST);
}
