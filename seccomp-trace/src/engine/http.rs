//! HTTP to an engine's API, also for bollard. Each request has a connection of its own, and each answer a bound: an engine that
//! says more than that, or without end, costs no more memory than this.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bollard::BollardRequest;
use bollard::errors::Error;
use bytes::{Buf as _, Bytes, BytesMut};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue};
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use serde::de::{DeserializeOwned, Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// In bytes: far above the list of any host's containers.
pub(super) const LARGEST_LIST: usize = 32 << 20;
/// In bytes: one container, one image, one event; containers are known with half a megabyte of labels.
pub(super) const LARGEST: usize = 8 << 20;
/// More containers are traced by nobody (`--max-containers`), and a list of empty ones would be small.
pub(super) const MOST: usize = 65_536;

/// Where an engine answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Unix(PathBuf),
    Tcp(String, u16),
}

/// Something was larger than its bound.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("what it says is larger than {} MiB, and is not taken", .0 >> 20)]
pub(super) struct TooLarge(pub usize);

impl TooLarge {
    /// The one that an error is about, if it is.
    pub fn of(error: &(dyn StdError + 'static)) -> Option<Self> {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if let Some(found) = error.downcast_ref::<Self>() {
                return Some(*found);
            }
            // What an I/O error holds is no source of it, but stands in its place; and so does such an error in bollard's.
            let io = match error.downcast_ref::<Error>() {
                Some(Error::IOError { err }) => Some(err),
                _ => error.downcast_ref::<io::Error>(),
            };
            let inner = io.and_then(io::Error::get_ref);
            cause = match inner {
                Some(inner) => Some(inner as &(dyn StdError + 'static)),
                None => error.source(),
            };
        }
        None
    }
}

/// What bollard speaks by. Not for events, of which an answer has no end: see [`Lines`].
pub(super) fn client(place: Place, seconds: u64) -> Result<bollard::Docker, Error> {
    let transport = move |request: BollardRequest| {
        let place = place.clone();
        async move { send(&place, request, Some(LARGEST)).await }
    };
    let version = bollard::API_DEFAULT_VERSION;
    bollard::Docker::connect_with_custom_transport(transport, Some("http://engine"), seconds, version)
}

/// Sends a request. What comes over the connection is bounded, where `limit` says so. **Not bounded in time.**
///
/// # Errors
/// Where nobody answers.
pub(super) async fn send<B>(
    place: &Place,
    mut request: Request<B>,
    limit: Option<usize>,
) -> Result<Response<Incoming>, Error>
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = path.parse::<Uri>().map_err(io::Error::other)?;
    request.headers_mut().insert(HOST, HeaderValue::from_static("engine"));
    let stream: Box<dyn Stream> = match place {
        Place::Unix(path) => Box::new(UnixStream::connect(path).await?),
        Place::Tcp(host, port) => Box::new(TcpStream::connect((host.as_str(), *port)).await?),
    };
    let bounded = Bounded { stream, limit, left: limit.unwrap_or(0) };
    let (mut sender, connection) = http1::handshake(TokioIo::new(bounded)).await?;
    // Its end, good or bad, is what the answer's reader hears of; dropped by him, it ends.
    tokio::spawn(connection);
    Ok(sender.send_request(request).await?)
}

/// The whole answer to a request for a path, of so many bytes at most. **Not bounded in time.**
///
/// # Errors
/// Where nobody answers, or more; and what the engine answers that is no success, as bollard says it.
pub(super) async fn get(place: &Place, path: &str, limit: usize) -> Result<Bytes, Error> {
    let request = Request::get(path).body(Empty::<Bytes>::new())?;
    let response = send(place, request, Some(limit)).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    if status.is_success() { Ok(body) } else { Err(refused(status.as_u16(), &body)) }
}

/// As [`get`], of a list of things, of which there are not more than [`MOST`].
///
/// # Errors
/// As [`get`], and where it is no such list.
pub(super) async fn list<T: DeserializeOwned>(place: &Place, path: &str) -> Result<Vec<T>, Error> {
    let body = get(place, path, LARGEST_LIST).await?;
    let AtMost(list) = serde_json::from_slice(&body)?;
    Ok(list)
}

fn refused(status_code: u16, body: &[u8]) -> Error {
    #[derive(Default, Deserialize)]
    struct Said {
        message: Option<String>,
    }
    let said: Said = serde_json::from_slice(body).unwrap_or_default();
    let message = said.message.unwrap_or_else(|| format!("status {status_code}"));
    Error::DockerResponseServerError { status_code, message }
}

/// A list of at most [`MOST`].
struct AtMost<T>(Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for AtMost<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<T>(Vec<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Reader<T> {
            type Value = AtMost<T>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "a list of at most {MOST}")
            }

            fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<AtMost<T>, A::Error> {
                while let Some(item) = items.next_element()? {
                    if self.0.len() == MOST {
                        return Err(A::Error::custom(format!("it lists more than {MOST}")));
                    }
                    self.0.push(item);
                }
                Ok(AtMost(self.0))
            }
        }
        deserializer.deserialize_seq(Reader(Vec::new()))
    }
}

/// An answer without an end, line by line, each of at most [`LARGEST`] bytes.
pub(super) struct Lines {
    body: Incoming,
    rest: BytesMut,
}

impl Lines {
    /// Asks for it.
    ///
    /// # Errors
    /// Where nobody answers, or with an error.
    pub async fn get(place: &Place, path: &str) -> Result<Self, Error> {
        let request = Request::get(path).body(Empty::<Bytes>::new())?;
        let response = send(place, request, None).await?;
        let status = response.status();
        let mut lines = Self { body: response.into_body(), rest: BytesMut::new() };
        if status.is_success() {
            return Ok(lines);
        }
        let said = lines.next().await?.unwrap_or_default();
        Err(refused(status.as_u16(), &said))
    }

    /// The next one that is not empty; none at the end.
    ///
    /// # Errors
    /// Where the connection breaks, or a line is too long.
    pub async fn next(&mut self) -> Result<Option<BytesMut>, Error> {
        let mut looked_at = 0;
        loop {
            let new = self.rest.get(looked_at..).unwrap_or_default();
            if let Some(end) = new.iter().position(|byte| *byte == b'\n') {
                let line = self.rest.split_to(looked_at + end);
                self.rest.advance(1);
                looked_at = 0;
                if line.is_empty() {
                    continue;
                }
                return Ok(Some(line));
            }
            looked_at = self.rest.len();
            if looked_at > LARGEST {
                return Err(io::Error::other(TooLarge(LARGEST)).into());
            }
            match self.body.frame().await {
                Some(frame) => {
                    if let Ok(data) = frame?.into_data() {
                        self.rest.extend_from_slice(&data);
                    }
                }
                None if self.rest.is_empty() => return Ok(None),
                None => return Ok(Some(self.rest.split())),
            }
        }
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// A connection that brings so many bytes at most.
struct Bounded {
    stream: Box<dyn Stream>,
    limit: Option<usize>,
    left: usize,
}

impl AsyncRead for Bounded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if let Some(limit) = self.limit {
            let new = buffer.filled().len() - before;
            match self.left.checked_sub(new) {
                Some(left) => self.left = left,
                None => return Poll::Ready(Err(io::Error::other(TooLarge(limit)))),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Bounded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests;
