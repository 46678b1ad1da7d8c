//! For `scripts/test-macos`: the table for macOS, an empty ring in a file, and what was written to one, as text.
//!
//! It reads with the real reader, which must know the calls of macOS: built with `--cfg calls_of_macos`.

use std::error::Error;
use std::fs;
use std::sync::atomic::Ordering;

use shm_protocol::access::Change;
use shm_protocol::calls::Call;
use shm_protocol::record::{Event, Record};
use shm_protocol::ring::{Reader, Ring, Word};

macro_rules! lines {
    ($($(#[$where:meta])* $kind:ident $name:ident $symbol:literal ($($argument:ident),*) = $meaning:expr;)*) => {
        /// Symbol, kind, arguments, and where the symbol is if not everywhere.
        const LINES: &[(&str, &str, &[&str], &str)] = &[
            $(($symbol, stringify!($kind), &[$(stringify!($argument)),*], concat!($(stringify!($where))?)),)*
        ];
    };
}

shm_protocol::interposed_symbols!(lines);

fn words(bytes: &[u8]) -> Vec<Word> {
    let (words, _) = bytes.as_chunks();
    words.iter().map(|word| Word::new(u64::from_ne_bytes(*word))).collect()
}

fn show(record: &Record<'_>) {
    print!("{}\t", record.pid);
    match record.event {
        Event::Access(access) => {
            let path = access.path.pieces().concat();
            let change = match access.change {
                Some(Change { effect, before }) => format!("{effect:?} {before:?}"),
                None => "-".to_owned(),
            };
            let follow = if access.follow { "follow" } else { "-" };
            println!(
                "{}\t{}\t{:?}\t{follow}\t{change}\t{}",
                access.call.name(),
                access.kind.name(),
                access.outcome,
                String::from_utf8_lossy(&path),
            );
        }
        Event::Exec(image) => println!(
            "Exec\t{}\t{}\t{}",
            String::from_utf8_lossy(image.exe),
            String::from_utf8_lossy(image.cwd),
            String::from_utf8_lossy(image.argv).replace('\0', " ").trim_end(),
        ),
        Event::Network(host) => println!("Network\t{}", String::from_utf8_lossy(host)),
        other => println!("{other:?}"),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["table"] => {
            assert_eq!(LINES.len(), Call::ALL.len(), "built without the calls of macOS");
            for (symbol, kind, arguments, condition) in LINES {
                println!("{symbol}\t{kind}\t{}\t{condition}", arguments.join(","));
            }
        }
        ["new", file] => {
            // A page and four chunks.
            let words = words(&vec![0; 132 << 10]);
            Ring::format(&words, std::process::id())?;
            let bytes: Vec<u8> =
                words.iter().flat_map(|word| word.load(Ordering::Relaxed).to_ne_bytes()).collect();
            fs::write(file, bytes)?;
        }
        ["read", file] => {
            let words = words(&fs::read(file)?);
            let finished = Reader::new(Ring::open(&words)?).finish(&mut show);
            let wrong = (finished.unfinished, finished.bad);
            if wrong != (0, 0) {
                return Err(format!("unfinished, bad: {wrong:?}").into());
            }
            if finished.lost > 0 {
                println!("lost\t{}", finished.lost);
            }
        }
        _ => return Err("table, new FILE or read FILE".into()),
    }
    Ok(())
}
