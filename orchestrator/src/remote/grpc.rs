//! The cache services of the Remote Execution API, by gRPC: what BuildGrid, Buildbarn, bazel-remote and others speak.

use std::collections::HashSet;
use std::fs;
use std::future::Future;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use bazel_remote_apis::build::bazel::remote::execution::v2 as api;
use bazel_remote_apis::build::bazel::remote::execution::v2::action_cache_client::ActionCacheClient;
use bazel_remote_apis::build::bazel::remote::execution::v2::content_addressable_storage_client::ContentAddressableStorageClient;
use bazel_remote_apis::google::bytestream;
use bazel_remote_apis::google::bytestream::byte_stream_client::ByteStreamClient;
use prost::Message;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::{AsciiMetadataKey, AsciiMetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Status};

use super::Settings;
use super::transport::{Kind, RemoteError, Transport};
use super::wire::Blob;
use crate::cache::unique;

/// Longer contents are sent in pieces: messages of more than 4 MiB are refused by most servers.
const LONGEST: u64 = 1 << 20;
/// How much is sent at once.
const PIECE: usize = 256 << 10;
/// Of how many contents is asked at once whether they are there: a message names each in some 70 bytes.
const MOST_ASKED: usize = 10_000;

/// A server that speaks gRPC.
#[derive(Debug)]
pub(super) struct Grpc {
    settings: Settings,
    /// Made when it is first asked for something.
    connection: OnceLock<Connection>,
}

#[derive(Debug)]
struct Connection {
    runtime: Runtime,
    channel: Channel,
    headers: Vec<(AsciiMetadataKey, AsciiMetadataValue)>,
}

impl Grpc {
    pub(super) fn new(settings: Settings) -> Self {
        Self { settings, connection: OnceLock::new() }
    }

    fn connection(&self) -> Result<&Connection, RemoteError> {
        if let Some(connection) = self.connection.get() {
            return Ok(connection);
        }
        let connection = Connection::new(&self.settings)?;
        Ok(self.connection.get_or_init(|| connection))
    }

    fn digest(blob: Blob) -> api::Digest {
        api::Digest {
            hash: blob.digest.to_string(),
            size_bytes: i64::try_from(blob.size).unwrap_or(i64::MAX),
        }
    }

    fn resource(&self, parts: &str) -> String {
        match &*self.settings.instance {
            "" => parts.to_owned(),
            instance => format!("{instance}/{parts}"),
        }
    }

    fn instance(&self) -> String {
        self.settings.instance.clone()
    }
}

impl Connection {
    fn new(settings: &Settings) -> Result<Self, RemoteError> {
        let bad = |error: &dyn std::fmt::Display| RemoteError::Settings(error.to_string());
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.map_err(|error| RemoteError::Local(error.to_string()))?;
        let address = settings.url.replacen("grpc", "http", 1);
        let mut endpoint = Endpoint::from_shared(address).map_err(|error| bad(&error))?.tcp_nodelay(true);
        if settings.url.starts_with("grpcs:") {
            endpoint = endpoint.tls_config(tls(settings)?).map_err(|error| bad(&error))?;
        }
        let header = |(name, value): &(String, String)| {
            let name = AsciiMetadataKey::from_bytes(name.to_ascii_lowercase().as_bytes()).ok()?;
            Some((name, AsciiMetadataValue::try_from(value).ok()?))
        };
        let headers: Option<Vec<_>> = settings.headers.iter().map(header).collect();
        // What they say is not repeated: it may be secret.
        let headers = headers.ok_or_else(|| bad(&"a header is none that gRPC knows"))?;
        let channel = {
            let _inside = runtime.enter();
            endpoint.connect_timeout(settings.timeout).connect_lazy()
        };
        Ok(Self { runtime, channel, headers })
    }

    fn request<M>(&self, message: M) -> Request<M> {
        let mut request = Request::new(message);
        for (name, value) in &self.headers {
            request.metadata_mut().insert(name.clone(), value.clone());
        }
        request
    }

    /// Waits for what a server answers, until then; `None` where it has no such thing.
    fn wait<T>(
        &self,
        answer: impl Future<Output = Result<T, Status>>,
        until: Instant,
    ) -> Result<Option<T>, RemoteError> {
        let limit = left(until)?;
        match self.runtime.block_on(async { tokio::time::timeout(limit, answer).await }) {
            Ok(Ok(answer)) => Ok(Some(answer)),
            Ok(Err(status)) if status.code() == Code::NotFound => Ok(None),
            Ok(Err(status)) => Err(failed(&status)),
            Err(_) => Err(RemoteError::TimedOut),
        }
    }
}

impl Transport for Grpc {
    fn get(
        &self,
        kind: Kind,
        key: Blob,
        limit: u64,
        to: &mut dyn Write,
        until: Instant,
    ) -> Result<bool, RemoteError> {
        let server = self.connection()?;
        let mut put =
            |bytes: &[u8]| to.write_all(bytes).map_err(|error| RemoteError::Local(error.to_string()));
        if kind == Kind::Action {
            let request = api::GetActionResultRequest {
                instance_name: self.instance(),
                action_digest: Some(Self::digest(key)),
                ..Default::default()
            };
            let mut client = ActionCacheClient::new(server.channel.clone());
            let Some(result) = server.wait(client.get_action_result(server.request(request)), until)? else {
                return Ok(false);
            };
            let result = result.into_inner().encode_to_vec();
            return put(&result[..result.len().min(usize::try_from(limit).unwrap_or(usize::MAX))])
                .map(|()| true);
        }
        if key.size <= LONGEST {
            let request = api::BatchReadBlobsRequest {
                instance_name: self.instance(),
                digests: vec![Self::digest(key)],
                ..Default::default()
            };
            let mut client = ContentAddressableStorageClient::new(server.channel.clone());
            let answer = server.wait(client.batch_read_blobs(server.request(request)), until)?;
            let Some(blob) = answer.and_then(|answer| answer.into_inner().responses.pop()) else {
                return Ok(false);
            };
            return match blob.status.map_or(0, |status| status.code) {
                0 => put(&blob.data).map(|()| true),
                code if Code::from(code) == Code::NotFound => Ok(false),
                code => Err(RemoteError::Refused(u16::try_from(code).unwrap_or_default())),
            };
        }
        let request = bytestream::ReadRequest {
            resource_name: self.resource(&format!("blobs/{}/{}", key.digest, key.size)),
            ..Default::default()
        };
        let mut client = ByteStreamClient::new(server.channel.clone());
        let Some(answer) = server.wait(client.read(server.request(request)), until)? else {
            return Ok(false);
        };
        let (mut pieces, mut seen) = (answer.into_inner(), 0);
        let silence = |until: Instant| until.min(Instant::now() + self.settings.timeout);
        loop {
            // Of one that is missing some servers tell with the first piece.
            let Some(piece) = server.wait(pieces.message(), silence(until))? else { return Ok(false) };
            let Some(piece) = piece else { return Ok(true) };
            seen += piece.data.len() as u64;
            if seen > limit {
                return Err(RemoteError::Wrong(key.digest));
            }
            put(&piece.data)?;
        }
    }

    fn missing(&self, blobs: &[Blob], until: Instant) -> Result<Vec<Blob>, RemoteError> {
        let server = self.connection()?;
        let mut missing = Vec::new();
        for part in blobs.chunks(MOST_ASKED) {
            let request = api::FindMissingBlobsRequest {
                instance_name: self.instance(),
                blob_digests: part.iter().map(|blob| Self::digest(*blob)).collect(),
                ..Default::default()
            };
            let mut client = ContentAddressableStorageClient::new(server.channel.clone());
            let answer = server.wait(client.find_missing_blobs(server.request(request)), until)?;
            // A server that knows no such question may lack all of them.
            let Some(answer) = answer else { return Ok(blobs.to_vec()) };
            let named: HashSet<String> =
                answer.into_inner().missing_blob_digests.into_iter().map(|digest| digest.hash).collect();
            missing.extend(part.iter().filter(|blob| named.contains(&blob.digest.to_string())));
        }
        Ok(missing)
    }

    fn put(
        &self,
        kind: Kind,
        key: Blob,
        size: u64,
        from: &mut dyn Read,
        until: Instant,
    ) -> Result<(), RemoteError> {
        let server = self.connection()?;
        let local = |error: &dyn std::fmt::Display| RemoteError::Local(error.to_string());
        if kind == Kind::Content && size > LONGEST {
            return self.send(server, key, from, until);
        }
        let mut bytes = Vec::new();
        from.take(size).read_to_end(&mut bytes).map_err(|error| local(&error))?;
        let code = if kind == Kind::Action {
            let request = api::UpdateActionResultRequest {
                instance_name: self.instance(),
                action_digest: Some(Self::digest(key)),
                action_result: Some(api::ActionResult::decode(&bytes[..]).map_err(|error| local(&error))?),
                ..Default::default()
            };
            let mut client = ActionCacheClient::new(server.channel.clone());
            let answer = server.wait(client.update_action_result(server.request(request)), until)?;
            answer.map(|_| 0)
        } else {
            let content = api::batch_update_blobs_request::Request {
                digest: Some(Self::digest(key)),
                data: bytes,
                ..Default::default()
            };
            let request = api::BatchUpdateBlobsRequest {
                instance_name: self.instance(),
                requests: vec![content],
                ..Default::default()
            };
            let mut client = ContentAddressableStorageClient::new(server.channel.clone());
            let answer = server.wait(client.batch_update_blobs(server.request(request)), until)?;
            let answer = answer.and_then(|answer| answer.into_inner().responses.pop());
            answer.map(|answer| answer.status.map_or(0, |status| status.code))
        };
        match code {
            Some(0) => Ok(()),
            code => {
                Err(RemoteError::Refused(code.and_then(|code| u16::try_from(code).ok()).unwrap_or_default()))
            }
        }
    }
}

impl Grpc {
    /// Sends a long content in pieces.
    fn send(
        &self,
        server: &Connection,
        blob: Blob,
        from: &mut dyn Read,
        until: Instant,
    ) -> Result<(), RemoteError> {
        let (sender, pieces) = mpsc::channel(2);
        let mut client = ByteStreamClient::new(server.channel.clone());
        let request = server.request(ReceiverStream::new(pieces));
        let call = server.runtime.spawn(async move { client.write(request).await });
        let name = format!("uploads/{}/blobs/{}/{}", upload_id(), blob.digest, blob.size);
        let (name, mut sent) = (self.resource(&name), 0u64);
        while sent < blob.size {
            let mut data = Vec::new();
            let read = from.take((blob.size - sent).min(PIECE as u64)).read_to_end(&mut data);
            read.map_err(|error| RemoteError::Local(error.to_string()))?;
            if data.is_empty() {
                return Err(RemoteError::Local("a content became shorter while it was sent".to_owned()));
            }
            let (offset, length) = (sent, data.len() as u64);
            sent += length;
            let piece = bytestream::WriteRequest {
                resource_name: name.clone(),
                write_offset: i64::try_from(offset).unwrap_or(i64::MAX),
                finish_write: sent == blob.size,
                data,
            };
            let limit = left(until)?;
            match server.runtime.block_on(async { tokio::time::timeout(limit, sender.send(piece)).await }) {
                Ok(Ok(())) => {}
                // It wants no more: it may have the content already. What it answers tells.
                Ok(Err(_)) => break,
                Err(_) => return Err(RemoteError::TimedOut),
            }
        }
        drop(sender);
        let answer = async { call.await.unwrap_or_else(|_| Err(Status::aborted("given up"))) };
        server.wait(answer, until).map(drop)
    }
}

/// A name for one upload, in the form of a UUID, which servers ask for.
fn upload_id() -> String {
    let (one, two) = (unique(), unique());
    format!("{}-{}-4{}-8{}-{}", &one[..8], &one[8..12], &one[13..16], &two[1..4], &two[4..16])
}

fn left(until: Instant) -> Result<Duration, RemoteError> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(RemoteError::TimedOut) } else { Ok(left) }
}

fn failed(status: &Status) -> RemoteError {
    match status.code() {
        Code::DeadlineExceeded => RemoteError::TimedOut,
        Code::Unavailable | Code::Unknown | Code::Internal | Code::Cancelled | Code::Aborted => {
            RemoteError::Unreachable(status.message().to_owned())
        }
        code => RemoteError::Refused(u16::try_from(code as i32).unwrap_or_default()),
    }
}

/// TLS with the roots that the system trusts or the one that is set.
fn tls(settings: &Settings) -> Result<ClientTlsConfig, RemoteError> {
    let read = |path: &Path| {
        fs::read(path).map_err(|error| RemoteError::Settings(format!("{}: {error}", path.display())))
    };
    let config = match &settings.ca {
        Some(path) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(path)?)),
        None => ClientTlsConfig::new().with_native_roots(),
    };
    match (&settings.client_cert, &settings.client_key) {
        (Some(chain), Some(key)) => Ok(config.identity(Identity::from_pem(read(chain)?, read(key)?))),
        (None, None) => Ok(config),
        _ => Err(RemoteError::Settings("client-cert and client-key go together".to_owned())),
    }
}
