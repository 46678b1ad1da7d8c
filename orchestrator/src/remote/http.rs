//! Bazel's HTTP cache: `GET` and `PUT` of `/ac/DIGEST` and `/cas/DIGEST`, which any WebDAV server can serve.

use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rustls::crypto::ring;
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig, TlsProvider};
use ureq::{Agent, Body, Error, RequestBuilder, SendBody, http};

use super::Settings;
use super::transport::{Kind, RemoteError, Transport};
use super::wire::{Blob, Sha};
use crate::cache::in_parallel;

/// A server that speaks HTTP.
#[derive(Debug)]
pub(super) struct Http {
    settings: Settings,
    /// Made when it is first asked for something.
    agent: OnceLock<Agent>,
}

impl Http {
    pub(super) fn new(settings: Settings) -> Self {
        Self { settings, agent: OnceLock::new() }
    }

    fn agent(&self) -> Result<&Agent, RemoteError> {
        if let Some(agent) = self.agent.get() {
            return Ok(agent);
        }
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            // Whoever is sent elsewhere would take the headers, which may be secret, along.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .no_delay(true)
            .user_agent(concat!("tracerun/", env!("CARGO_PKG_VERSION")));
        if self.settings.url.starts_with("https:") {
            config = config.tls_config(tls(&self.settings)?);
        }
        Ok(self.agent.get_or_init(|| config.build().into()))
    }

    fn url(&self, kind: Kind, digest: Sha) -> String {
        let folder = match kind {
            Kind::Action => "ac",
            Kind::Content => "cas",
        };
        format!("{}/{folder}/{digest}", self.settings.url.trim_end_matches('/'))
    }

    fn prepared<B>(
        &self,
        mut request: RequestBuilder<B>,
        until: Instant,
    ) -> Result<RequestBuilder<B>, RemoteError> {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(RemoteError::TimedOut);
        }
        for (name, value) in &self.settings.headers {
            request = request.header(name, value);
        }
        // A server that stalls is left sooner than one that is slow.
        let silence = self.settings.timeout.max(Duration::from_millis(1));
        Ok(request.config().timeout_global(Some(left)).timeout_per_read(Some(silence)).build())
    }
}

impl Transport for Http {
    fn get(
        &self,
        kind: Kind,
        key: Blob,
        limit: u64,
        to: &mut dyn Write,
        until: Instant,
    ) -> Result<bool, RemoteError> {
        let request = self.prepared(self.agent()?.get(self.url(kind, key.digest)), until)?;
        let response = request.call().map_err(failed)?;
        if !found(&response)? {
            return Ok(false);
        }
        let mut body = response.into_body().into_with_config().limit(u64::MAX).reader();
        // One byte more tells that it is too long.
        let mut body = (&mut body).take(limit.saturating_add(1));
        let mut buffer = vec![0; 64 << 10];
        loop {
            let count = match body.read(&mut buffer) {
                Ok(0) => return Ok(true),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(failed(Error::from(error))),
            };
            to.write_all(&buffer[..count]).map_err(|error| RemoteError::Local(error.to_string()))?;
        }
    }

    fn missing(&self, blobs: &[Blob], until: Instant) -> Result<Vec<Blob>, RemoteError> {
        let is_missing = |blob: &Blob| {
            let request = self.prepared(self.agent()?.head(self.url(Kind::Content, blob.digest)), until)?;
            Ok((!found(&request.call().map_err(failed)?)?).then_some(*blob))
        };
        let parts = in_parallel(blobs, 1, |part| {
            part.iter().filter_map(|blob| is_missing(blob).transpose()).collect()
        });
        let parts: Result<Vec<Vec<Blob>>, RemoteError> = parts.into_iter().collect();
        Ok(parts?.concat())
    }

    fn put(
        &self,
        kind: Kind,
        key: Blob,
        size: u64,
        from: &mut dyn Read,
        until: Instant,
    ) -> Result<(), RemoteError> {
        let request = self.prepared(self.agent()?.put(self.url(kind, key.digest)), until)?;
        let request =
            request.header("Content-Length", size.to_string()).content_type("application/octet-stream");
        let response = request.send(SendBody::from_reader(&mut from.take(size))).map_err(failed)?;
        match response.status() {
            status if status.is_success() => Ok(()),
            status => Err(RemoteError::Refused(status.as_u16())),
        }
    }
}

fn found(response: &http::Response<Body>) -> Result<bool, RemoteError> {
    match response.status().as_u16() {
        200 => Ok(true),
        404 | 410 => Ok(false),
        status => Err(RemoteError::Refused(status)),
    }
}

fn failed(error: Error) -> RemoteError {
    match error {
        Error::Timeout(_) => RemoteError::TimedOut,
        Error::Io(error) if error.kind() == io::ErrorKind::TimedOut => RemoteError::TimedOut,
        // `ureq` hands its own errors through readers in this way.
        Error::Io(error) => match error.downcast::<Error>() {
            Ok(Error::Timeout(_)) => RemoteError::TimedOut,
            Ok(error) => RemoteError::Unreachable(error.to_string()),
            Err(error) => RemoteError::Unreachable(error.to_string()),
        },
        error => RemoteError::Unreachable(error.to_string()),
    }
}

/// TLS with the roots that the system trusts or the one that is set.
fn tls(settings: &Settings) -> Result<TlsConfig, RemoteError> {
    let bad = |path: &Path, why: String| RemoteError::Settings(format!("{}: {why}", path.display()));
    let read = |path: &Path| fs::read(path).map_err(|error| bad(path, error.to_string()));
    let certificates = |path: &Path| -> Result<Vec<Certificate<'static>>, RemoteError> {
        let pem = read(path)?;
        let certificates: Vec<_> = ureq::tls::parse_pem(&pem)
            .filter_map(|item| match item {
                Ok(ureq::tls::PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            })
            .collect();
        if certificates.is_empty() {
            Err(bad(path, "it holds no certificate".to_owned()))
        } else {
            Ok(certificates)
        }
    };
    let roots = match &settings.ca {
        Some(path) => certificates(path)?,
        None => {
            let system = rustls_native_certs::load_native_certs().certs;
            system.iter().map(|certificate| Certificate::from_der(certificate.as_ref()).to_owned()).collect()
        }
    };
    let client = match (&settings.client_cert, &settings.client_key) {
        (Some(chain), Some(key)) => {
            let pem = read(key)?;
            let private = PrivateKey::from_pem(&pem).map_err(|error| bad(key, error.to_string()))?;
            Some(ClientCert::new_with_certs(&certificates(chain)?, private))
        }
        (None, None) => None,
        _ => return Err(RemoteError::Settings("client-cert and client-key go together".to_owned())),
    };
    Ok(TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
        .root_certs(RootCerts::new_with_certs(&roots))
        .client_cert(client)
        .build())
}
