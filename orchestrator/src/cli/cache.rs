//! `cache stats|clear|path`.

use shm_protocol::record::Exit;

use super::arguments::{CacheCommand, Common};
use super::{Failure, Place, bytes, print};

pub(super) fn cache(command: CacheCommand, common: &Common) -> Result<Exit, Failure> {
    let store = Place::find(common)?.open_store()?;
    match command {
        CacheCommand::Stats => {
            let stats = store.stats()?;
            let text = format!(
                "folder    {}\nsize      {}\ncommands  {}\nresults   {}\ncontents  {}\nruns      {}\n",
                store.path().display(),
                bytes(stats.bytes),
                stats.keys,
                stats.results,
                stats.contents,
                stats.runs,
            );
            print(text.as_bytes())?;
        }
        CacheCommand::Clear => store.clear()?,
        CacheCommand::Path => print(format!("{}\n", store.path().display()).as_bytes())?,
    }
    Ok(Exit::Code(0))
}
