//! `cache stats|gc|clear|verify|path`.

use std::fmt::Write;
use std::time::Duration;

use serde_json::json;
use shm_protocol::record::Exit;
use tracerun::cache::{Store, StoreError};

use super::arguments::{CacheCommand, Common, StatsFormat};
use super::{Failure, Place, bytes, duration, print, say};

pub(super) fn cache(command: CacheCommand, common: &Common) -> Result<Exit, Failure> {
    let place = Place::find(common)?;
    let store = place.open_store()?;
    let told = |text: &str| if common.quiet { Ok(()) } else { print(text.as_bytes()) };
    match command {
        CacheCommand::Stats { format } => print(stats(&store, place.limit, format)?.as_bytes())?,
        CacheCommand::Gc => match store.collect(place.limit)? {
            Some(done) => {
                let results = match done.results {
                    1 => "1 result".to_owned(),
                    count => format!("{count} results"),
                };
                let (freed, left) = (bytes(done.freed), bytes(done.left));
                told(&format!("removed {results}, freed {freed}, {left} left\n"))?;
            }
            None => busy(common),
        },
        CacheCommand::Verify => match store.verify()? {
            Some(verified) => {
                for path in &verified.removed {
                    told(&format!("removed {}\n", path.display()))?;
                }
                told(&format!("{} checked, {} damaged\n", verified.checked, verified.removed.len()))?;
                return Ok(Exit::Code(u32::from(!verified.removed.is_empty())));
            }
            None => busy(common),
        },
        CacheCommand::Clear => store.clear()?,
        CacheCommand::Path => print(format!("{}\n", store.path().display()).as_bytes())?,
    }
    Ok(Exit::Code(0))
}

fn busy(common: &Common) {
    if !common.quiet {
        say("another process is collecting or verifying this cache");
    }
}

fn stats(store: &Store, limit: u64, format: StatsFormat) -> Result<String, StoreError> {
    let (held, counted) = (store.stats()?, store.counters()?);
    let uncached: u64 = counted.uncached.values().sum();
    if format == StatsFormat::Json {
        let object = json!({
            "folder": store.path().display().to_string(),
            "bytes": held.bytes,
            "limit_bytes": limit,
            "commands": held.keys,
            "results": held.results,
            "contents": held.contents,
            "runs": held.runs,
            "hits": counted.hits,
            "misses": counted.misses,
            "uncached": uncached,
            "uncached_reasons": counted.uncached,
            "saved_ms": counted.saved_ms,
        });
        return Ok(format!("{object}\n"));
    }
    let mut text = format!(
        "folder    {}\nsize      {} of {}\ncommands  {}\nresults   {}\ncontents  {}\nruns      {}\n",
        store.path().display(),
        bytes(held.bytes),
        bytes(limit),
        held.keys,
        held.results,
        held.contents,
        held.runs,
    );
    let saved = duration(Duration::from_millis(counted.saved_ms));
    // Writing to a String does not fail.
    let _ = write!(text, "hits      {}, saved {saved}\nmisses    {}\n", counted.hits, counted.misses);
    let _ = writeln!(text, "uncached  {uncached}");
    for (reason, count) in &counted.uncached {
        let _ = writeln!(text, "          {count} {reason}");
    }
    Ok(text)
}
