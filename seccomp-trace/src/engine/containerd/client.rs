//! Calls of containerd's gRPC API. Each is bounded in time.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http::uri::PathAndQuery;
use prost::Message;
use tokio::net::UnixStream;
use tokio::time::timeout;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status, Streaming};
use tonic_prost::ProstCodec;

use super::NAME;
use crate::engine::EngineError;
use crate::engine::http::{LARGEST_LIST, MOST};

/// How long containerd may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(3);
/// How long it may take to answer.
pub(super) const CALL: Duration = Duration::from_secs(10);
/// The largest message that is taken, in bytes: as large as those that containerd itself sends at most.
const LARGEST: usize = 16 << 20;

/// A connection to a containerd, made anew whenever it breaks.
#[derive(Clone, Debug)]
pub(super) struct Client {
    channel: Channel,
    address: PathBuf,
}

impl Client {
    /// Looks whether anybody listens there: the system's own errors say why not better than gRPC's do.
    pub async fn connect(address: PathBuf) -> Result<Self, EngineError> {
        let start = "is containerd running? Start it with: systemctl start containerd";
        let reason = match timeout(CONNECT, UnixStream::connect(&address)).await {
            Ok(Ok(_)) => {
                let endpoint = Endpoint::from_shared(format!("unix://{}", address.display()));
                let endpoint = endpoint.map_err(|error| EngineError::Address(error.to_string()))?;
                return Ok(Self { channel: endpoint.connect_timeout(CONNECT).connect_lazy(), address });
            }
            Ok(Err(error)) => match error.kind() {
                std::io::ErrorKind::PermissionDenied => "permission denied: run as root".to_owned(),
                std::io::ErrorKind::NotFound => {
                    let reason = format!("{}: no such socket; {start}", address.display());
                    return Err(EngineError::Absent { engine: NAME, reason });
                }
                std::io::ErrorKind::ConnectionRefused => format!("connection refused; {start}"),
                _ => error.to_string(),
            },
            Err(_) => format!("it accepts no connection within {} s", CONNECT.as_secs()),
        };
        Err(EngineError::Unreachable { engine: NAME, address: address.display().to_string(), reason })
    }

    /// Where it answers.
    pub fn address(&self) -> &Path {
        &self.address
    }

    /// One question in a namespace, one answer.
    pub async fn call<Q, A>(&self, namespace: &str, method: &'static str, ask: Q) -> Result<A, EngineError>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let answer = self.unary(namespace, method, ask);
        timed(answer).await.map_err(|status| self.fault(&status))
    }

    /// As [`Client::call`]; none where there is no such thing.
    pub async fn find<Q, A>(
        &self,
        namespace: &str,
        method: &'static str,
        ask: Q,
    ) -> Result<Option<A>, EngineError>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        match timed(self.unary(namespace, method, ask)).await {
            Ok(answer) => Ok(Some(answer)),
            Err(status) if status.code() == Code::NotFound => Ok(None),
            Err(status) => Err(self.fault(&status)),
        }
    }

    /// One question in a namespace, and all the answers of a list.
    pub async fn all<Q, A>(
        &self,
        namespace: &str,
        method: &'static str,
        ask: Q,
    ) -> Result<Vec<A>, EngineError>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let read = async {
            let (mut stream, mut all) = (self.stream(namespace, method, ask).await?, Vec::new());
            let mut size = 0;
            while let Some(answer) = stream.message().await? {
                size += A::encoded_len(&answer);
                if size > LARGEST_LIST || all.len() == MOST {
                    let bound = format!("{} MiB, or {MOST} messages", LARGEST_LIST >> 20);
                    return Err(Status::out_of_range(format!(
                        "its list is larger than {bound}, and is not taken"
                    )));
                }
                all.push(answer);
            }
            Ok(all)
        };
        timed(read).await.map_err(|status| self.fault(&status))
    }

    async fn unary<Q, A>(&self, namespace: &str, method: &'static str, ask: Q) -> Result<A, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let (mut grpc, request) = (self.ready().await?, request(namespace, ask)?);
        let codec = ProstCodec::<Q, A>::default();
        let answer = grpc.unary(request, PathAndQuery::from_static(method), codec).await?;
        Ok(answer.into_inner())
    }

    /// One question, and answers without end. **Not bounded in time**; what it waits for is the first answer.
    pub async fn stream<Q, A>(
        &self,
        namespace: &str,
        method: &'static str,
        ask: Q,
    ) -> Result<Streaming<A>, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let (mut grpc, request) = (self.ready().await?, request(namespace, ask)?);
        let codec = ProstCodec::<Q, A>::default();
        let answers = grpc.server_streaming(request, PathAndQuery::from_static(method), codec).await?;
        Ok(answers.into_inner())
    }

    async fn ready(&self) -> Result<Grpc<Channel>, Status> {
        let mut grpc = Grpc::new(self.channel.clone()).max_decoding_message_size(LARGEST);
        grpc.ready().await.map_err(|error| Status::unavailable(deepest(&error)))?;
        Ok(grpc)
    }

    /// A status in this engine's words.
    pub fn fault(&self, status: &Status) -> EngineError {
        let reason = reason(status);
        match status.code() {
            Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => {
                EngineError::Unreachable { engine: NAME, address: self.address.display().to_string(), reason }
            }
            _ => EngineError::Refused { engine: NAME, reason },
        }
    }
}

fn request<Q>(namespace: &str, ask: Q) -> Result<Request<Q>, Status> {
    let mut request = Request::new(ask);
    let value = namespace.parse().map_err(|_| Status::invalid_argument("no name of a namespace"))?;
    request.metadata_mut().insert("containerd-namespace", value);
    Ok(request)
}

/// Within [`CALL`], or an error.
pub(super) async fn timed<T>(call: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    timeout(CALL, call).await.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer in time")))
}

/// What a status is about, without the layers above it.
pub(super) fn reason(status: &Status) -> String {
    match std::error::Error::source(status) {
        Some(source) => deepest(source),
        None if status.message().is_empty() => status.code().to_string(),
        None => status.message().to_owned(),
    }
}

fn deepest(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
