//! Messages in our words, and an engine that is away.

use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;
use tokio::sync::mpsc::unbounded_channel;

use super::*;
use crate::engine::http::{Place, client};

fn read(action: &str, name: &str) -> Option<EngineEvent> {
    let message = format!(
        r#"{{"Type":"container","Action":"{action}","scope":"local","time":1,"timeNano":1,
            "Actor":{{"ID":"c0ffee","Attributes":{{"name":"{name}","image":"nginx","tier":"front"}}}}}}"#
    );
    event(&Facts::default(), serde_json::from_str(&message).unwrap())
}

#[test]
fn what_happens_to_a_container() {
    let id = || "c0ffee".to_owned();
    let Some(EngineEvent::Created(container)) = read("create", "web") else { panic!() };
    assert_eq!((container.name.as_str(), container.labels.len()), ("web", 1));
    assert_eq!(read("start", "web"), Some(EngineEvent::Started { id: id() }));
    assert_eq!(read("rename", "/new"), Some(EngineEvent::Renamed { id: id(), name: "new".to_owned() }));
    assert_eq!(read("die", "web"), Some(EngineEvent::Stopped { id: id() }));
    assert_eq!(read("destroy", "web"), Some(EngineEvent::Removed { id: id() }));
    for action in ["exec_start: sh -c start", "health_status: healthy", "kill", "stop", "", "pause"] {
        assert_eq!(read(action, "web"), None);
    }
    assert_eq!(event(&Facts::default(), EventMessage::default()), None);
}
/// An engine that answers a ping, and to all else with an error.
async fn without_events(listener: UnixListener) {
    while let Ok((mut client, _)) = listener.accept().await {
        tokio::spawn(async move {
            let mut request = [0; 4096];
            let length = client.read(&mut request).await.unwrap_or_default();
            let is_ping = request[..length].windows(5).any(|part| part == b"_ping");
            let status = if is_ping { "200 OK" } else { "500 Internal Server Error" };
            let answer = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{{}}");
            let _ = client.write_all(answer.as_bytes()).await;
        });
    }
}

/// An engine that answers a ping, and whose stream of events is `events`, again and again.
async fn with_events(listener: UnixListener, events: &'static str) {
    while let Ok((mut client, _)) = listener.accept().await {
        tokio::spawn(async move {
            let mut request = [0; 4096];
            let length = client.read(&mut request).await.unwrap_or_default();
            let is_stream = request[..length].windows(7).any(|part| part == b"/events");
            let body = if is_stream { events } else { "OK" };
            let _ = client
                .write_all(format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{body}").as_bytes())
                .await;
            if is_stream {
                sleep(Duration::from_secs(60)).await;
            }
        });
    }
}

/// What is told in this time.
async fn told(socket: &Path, time: Duration) -> Vec<EngineEvent> {
    let place = Place::Unix(socket.to_owned());
    let api = Api { client: client(place.clone(), 5).unwrap(), place };
    let (sender, mut events) = unbounded_channel();
    let _ = timeout(time, Watch::new(api, Arc::default(), sender).run()).await;
    std::iter::from_fn(|| events.try_recv().ok()).collect()
}

#[tokio::test]
async fn an_engine_without_events_is_away_once() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("docker.sock");
    tokio::spawn(without_events(UnixListener::bind(&socket).unwrap()));
    let told = told(&socket, Duration::from_millis(3000)).await;
    assert!(matches!(&told[..], [EngineEvent::Disconnected { .. }]), "{told:?}");
}

#[tokio::test]
async fn events_that_cannot_be_read_are_one_outage_and_hide_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("docker.sock");
    let events = concat!(
        "{\"Action\":7}\n",
        "nonsense\n",
        "{\"Action\":\"start\",\"Actor\":{\"ID\":\"c0ffee\"},\"timeNano\":9000000000000000000}\n",
        "{\"Action\":[]}\n"
    );
    tokio::spawn(with_events(UnixListener::bind(&socket).unwrap(), events));
    let told = told(&socket, Duration::from_millis(3000)).await;
    let [EngineEvent::Disconnected { reason }, EngineEvent::Started { id }, EngineEvent::Reconnected] =
        &told[..]
    else {
        panic!("{told:?}")
    };
    assert!(reason.starts_with("an event of it can't be read: ") && id == "c0ffee", "{told:?}");
}
