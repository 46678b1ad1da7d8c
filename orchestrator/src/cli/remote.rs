//! The shared cache, as options, the environment and `tracerun.toml` say.

use std::env;
use std::time::Duration;

use tracerun::configuration::{RemoteMode, RemoteSettings, UploadMode};
use tracerun::remote::{Direction, Progress, Remote, RemoteError, Settings};

use super::status_line::StatusLine;
use super::{Failure, Place, bytes};

/// How long the questions of a look-up may take unless told otherwise.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long contents may take.
const TRANSFER_TIMEOUT: Duration = Duration::from_secs(60);

/// Holds a header of every request in each line, `NAME: VALUE`: tokens have no place in a command line or a file of the project.
pub(super) const HEADERS: &str = "TRACERUN_REMOTE_HEADERS";

/// Tells of a transfer that takes long.
pub(super) fn tell(line: &StatusLine, progress: Option<Progress>) {
    match progress {
        None => line.clear(),
        Some(Progress { direction, done, total }) => line.show(|| {
            let how = match direction {
                Direction::Fetched => "fetched",
                Direction::Given => "shared",
            };
            format!("tracerun: {how} {} of {}", bytes(done), bytes(total))
        }),
    }
}

/// The server that is named by option or else by the project, if it `may` be used.
pub(super) fn of(url: Option<String>, may: bool, place: &Place) -> Result<Option<Remote>, Failure> {
    let RemoteSettings {
        instance,
        url: projects,
        mode,
        upload,
        timeout_ms,
        transfer_timeout_ms,
        ca,
        client_cert,
        client_key,
    } = &place.configuration.remote;
    // A variable that is set to nothing says nothing.
    let given = url.filter(|url| !url.is_empty());
    let Some(url) = given.or_else(|| projects.clone().filter(|_| may)) else { return Ok(None) };
    let is_ci =
        || env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false" && value != "0");
    let writes = *mode == RemoteMode::ReadWrite && (*upload == UploadMode::Always || is_ci());
    let headers = env::var(HEADERS).unwrap_or_default();
    let headers = headers.lines().filter(|line| !line.trim().is_empty()).map(|line| {
        let pair =
            line.split_once(':').map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()));
        // What it says is not repeated: it may be secret.
        pair.ok_or_else(|| RemoteError::Settings(format!("{HEADERS}: each line must be NAME: VALUE")))
    });
    let millis = |time: &Option<u64>, usual| time.map_or(usual, Duration::from_millis);
    let settings = Settings {
        url,
        instance: instance.clone(),
        writes,
        timeout: millis(timeout_ms, TIMEOUT),
        transfer_timeout: millis(transfer_timeout_ms, TRANSFER_TIMEOUT),
        headers: headers.collect::<Result<_, _>>()?,
        ca: ca.clone(),
        client_cert: client_cert.clone(),
        client_key: client_key.clone(),
    };
    Ok(Some(Remote::new(settings)?))
}
