//! `tracerun help TOPIC|COMMAND`, and manual pages.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use clap::CommandFactory;
use shm_protocol::record::Exit;

use super::arguments::Arguments;
use super::pager::page;
use super::{Failure, markdown, print};

/// A page of `docs/` that can be read here as well.
struct Topic {
    name: &'static str,
    page: &'static str,
}

/// Each is a file of that name, so that they are written once.
macro_rules! topics {
    ($($name:literal),* $(,)?) => {
        &[$(Topic { name: $name, page: include_str!(concat!("../../../docs/", $name, ".md")) }),*]
    };
}

const TOPICS: &[Topic] = topics![
    "caching",
    "inputs",
    "environment",
    "configuration",
    "queries",
    "formats",
    "capture",
    "remote",
    "tools",
    "backend",
    "limits",
];

impl Topic {
    /// Its heading.
    fn title(&self) -> &str {
        self.page.lines().next().unwrap_or_default().trim_start_matches("# ")
    }
}

/// How wide text is where nobody says, and at most: what is wider is hard to read.
const WIDTH: usize = 100;

/// The end of `--help`: what there is to read besides.
pub(super) fn after() -> String {
    let topics = TOPICS.iter().map(|topic| format!("  {:<15}{}\n", topic.name, topic.title()));
    format!(
        "Topics, for `tracerun help TOPIC`:\n{}\nThe exit status is the command's; if a signal killed it, tracerun dies \
         by the same signal. tracerun's own failures: 125; command found but not executable: 126; not found: 127.",
        topics.collect::<String>()
    )
}

/// Shows what is asked for: a command, by its words, or a topic.
pub(super) fn help(words: &[String]) -> Result<Exit, Failure> {
    let topic = TOPICS.iter().find(|topic| matches!(words, [word] if word == topic.name));
    let text = match (command(words), topic) {
        (Some(_), _) => of_command(words),
        (None, Some(topic)) => markdown::render(topic.page, width()),
        (None, None) => {
            let names = TOPICS.iter().map(|topic| topic.name).collect::<Vec<_>>().join(", ");
            let asked = words.join(" ");
            return Err(Failure::Asked(format!(
                "there is no help on `{asked}`: topics are {names}; commands are listed by tracerun --help"
            )));
        }
    };
    page(text.as_bytes())?;
    Ok(Exit::Code(0))
}

/// What it says to `--help`.
fn of_command(words: &[String]) -> String {
    let line = [&["tracerun".to_owned()], words, &["--help".to_owned()]].concat();
    let said = Arguments::understand(line.into_iter().map(OsString::from));
    said.err().map_or_else(String::new, |help| help.render().to_string())
}

/// Prints the manual page of a command.
pub(super) fn man(words: &[String]) -> Result<Exit, Failure> {
    let Some(command) = command(words) else {
        return Err(Failure::Asked(format!("there is no command `{}`", words.join(" "))));
    };
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    print(&page)?;
    Ok(Exit::Code(0))
}

/// Writes the manual pages of all commands into a folder.
pub(super) fn all_men(folder: &Path) -> Result<Exit, Failure> {
    let at = |source| Failure::File { path: folder.to_owned(), source };
    fs::create_dir_all(folder).map_err(at)?;
    clap_mangen::generate_to(Arguments::command(), folder).map_err(at)?;
    Ok(Exit::Code(0))
}

/// The command of these words, `cache gc` for example; of none, tracerun itself.
fn command(words: &[String]) -> Option<clap::Command> {
    let mut command = Arguments::command();
    command.build();
    words.iter().try_fold(command, |command, word| command.find_subcommand(word).cloned())
}

fn width() -> usize {
    terminal_size::terminal_size().map_or(WIDTH, |(width, _)| usize::from(width.0).min(WIDTH))
}
