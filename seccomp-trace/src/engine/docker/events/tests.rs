//! Messages in our words, and an engine that is away.

use std::path::Path;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;
use tokio::sync::mpsc::unbounded_channel;

use super::*;

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
    let Some(EngineEvent::Known(container)) = read("create", "web") else { panic!() };
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

#[tokio::test]
async fn an_engine_without_events_is_away_less_and_less_often() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("docker.sock");
    tokio::spawn(without_events(UnixListener::bind(&socket).unwrap()));
    let socket: &Path = &socket;
    let client =
        bollard::Docker::connect_with_unix(socket.to_str().unwrap(), 5, bollard::API_DEFAULT_VERSION);
    let (sender, mut events) = unbounded_channel();
    let watch = Watch::new(client.unwrap(), Arc::default(), sender);
    let _ = timeout(Duration::from_millis(1500), watch.run()).await;
    let mut told = Vec::new();
    while let Ok(event) = events.try_recv() {
        told.push(event);
    }
    let away = told.iter().filter(|event| matches!(event, EngineEvent::Away { .. })).count();
    let back = told.iter().filter(|event| **event == EngineEvent::Back).count();
    // After 0, 100, 300 and 700 ms.
    assert!((2..=5).contains(&away) && back >= 1, "{told:?}");
}
