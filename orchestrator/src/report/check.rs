//! What a run did against what is declared of it: reads and writes that nobody declared, and declarations that nothing used.

use std::collections::{BTreeMap, HashSet};
use std::io::{self, Write};
use std::path::Path;

use platform::files::{self, FileType};
use serde::Serialize;
use serde_json::{Value, json};
use shm_protocol::access::{AccessKind, Before};

use super::command_line;
use super::text::{Columns, clipped, label_width, printable};
use crate::bytes;
use crate::declarations::{BadGlob, Globs};
use crate::trace::{PathId, ProcessId, Trace};

/// What is declared of a command: globs relative to the folder that it runs in, of which `!` takes back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    /// What it may read.
    pub inputs: Vec<String>,
    /// What it may write.
    pub outputs: Vec<String>,
    /// What it may read besides, which nobody has written down for it: that none of it is used is no finding.
    pub implied_inputs: Vec<String>,
    /// What it may write besides.
    pub implied_outputs: Vec<String>,
}

/// What nobody declares, and no task runner counts: installed packages, version control, caches that tools keep.
pub const NOISE: &[&str] = &[".git", "**/node_modules", "**/.turbo", "**/.nx", "**/.cache", "**/__pycache__"];

/// What kind of finding it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingKind {
    /// A file was read that no input covers.
    UndeclaredRead,
    /// A file was written or deleted that no output covers.
    UndeclaredWrite,
    /// An input covers nothing that was read.
    UnusedInput,
    /// An output covers nothing that was written.
    UnusedOutput,
}

impl FindingKind {
    fn name(self) -> &'static str {
        match self {
            Self::UndeclaredRead => "undeclared read",
            Self::UndeclaredWrite => "undeclared write",
            Self::UnusedInput => "unused input",
            Self::UnusedOutput => "unused output",
        }
    }

    fn id(self) -> String {
        self.name().replace(' ', "-")
    }
}

/// One thing that is not as declared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is.
    pub kind: FindingKind,
    /// The path, relative to the folder of the command, or the glob.
    pub path: String,
    /// The path, relative to the root; empty for a glob.
    pub file: String,
    /// The process that did it first; 0 for a glob.
    pub process: ProcessId,
    /// Its command line.
    pub command: String,
}

/// What a check came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Sorted by kind and path.
    pub findings: Vec<Finding>,
    /// How many files outside the root were read, which no declaration is about.
    pub outside: usize,
    /// Whether everything was seen.
    pub complete: bool,
}

/// Compares what a run in `folder` of the project at `root` did, which has just ended, with what is declared.
///
/// # Errors
/// A glob is none.
pub fn check(trace: &Trace, declared: &Declared, folder: &Path, root: &Path) -> Result<Check, BadGlob> {
    let globs = |list: &[String]| {
        let list = list.iter().map(String::as_str);
        Globs::new([], list, folder, None)
    };
    let both = |implied: &[String], list: &[String]| globs(&[implied, list].concat());
    let inputs = both(&declared.implied_inputs, &declared.inputs)?;
    let outputs = both(&declared.implied_outputs, &declared.outputs)?;
    let noise = Globs::new([], NOISE.iter().copied(), root, None)?;
    let base = files::bytes_of_path(folder);
    let root = files::bytes_of_path(root);
    let made: HashSet<PathId> = trace
        .accesses
        .iter()
        .filter(|access| access.changes.is_some_and(|changes| changes.before == Before::Absent))
        .map(|access| access.path)
        .collect();
    let mut found: BTreeMap<(FindingKind, PathId), ProcessId> = BTreeMap::new();
    let (mut read, mut written, mut outside) = (Vec::new(), Vec::new(), HashSet::new());
    for access in &trace.accesses {
        let path = trace.path(access.path);
        let reads = matches!(access.kind, AccessKind::Read | AccessKind::Exec);
        if !bytes::ancestors(path).any(|above| above == &*root) {
            outside.extend(reads.then_some(access.path));
            continue;
        }
        let now = files::identity(&files::path_of(path), false).ok();
        let is_folder = now.is_some_and(|now| now.file_type == FileType::Directory);
        if is_folder || noise.match_any(path) {
            continue;
        }
        if reads && !made.contains(&access.path) {
            read.push(path);
            if !inputs.match_any(path) && !outputs.match_any(path) {
                found.entry((FindingKind::UndeclaredRead, access.path)).or_insert(access.process);
            }
        } else if matches!(access.kind, AccessKind::Write | AccessKind::Delete) {
            // What came and went is nobody's output.
            if now.is_none() && made.contains(&access.path) {
                continue;
            }
            written.push(path);
            if !outputs.match_any(path) {
                found.entry((FindingKind::UndeclaredWrite, access.path)).or_insert(access.process);
            }
        }
    }
    let mut findings: Vec<Finding> = found
        .into_iter()
        .map(|((kind, path), process)| Finding {
            kind,
            path: relative(trace.path(path), &base),
            file: relative(trace.path(path), &root),
            process,
            command: trace.process(process).map(command_line).unwrap_or_default(),
        })
        .collect();
    for (list, used, kind) in [
        (&declared.inputs, &read, FindingKind::UnusedInput),
        (&declared.outputs, &written, FindingKind::UnusedOutput),
    ] {
        for glob in list.iter().filter(|glob| !glob.starts_with('!')) {
            let one = globs(std::slice::from_ref(glob))?;
            if !used.iter().any(|path| one.match_any(path)) {
                findings.push(Finding {
                    kind,
                    path: glob.clone(),
                    file: String::new(),
                    process: 0,
                    command: String::new(),
                });
            }
        }
    }
    findings.sort_by(|one, other| (one.kind, &one.path).cmp(&(other.kind, &other.path)));
    Ok(Check { findings, outside: outside.len(), complete: trace.is_complete() })
}

/// `path` as it is called in the folder `base`.
fn relative(path: &[u8], base: &[u8]) -> String {
    let mut ups = 0;
    let mut above = base;
    let inside = loop {
        let rest = path.strip_prefix(above).filter(|rest| rest.starts_with(b"/"));
        match (rest, bytes::parent(above)) {
            (Some(rest), _) => break &rest[1..],
            (None, Some(parent)) if parent != b"/" => (above, ups) = (parent, ups + 1),
            (None, _) => return printable(path).into_owned(),
        }
    };
    format!("{}{}", "../".repeat(ups), printable(inside))
}

impl Check {
    /// Whether everything was as declared, and all of it seen.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.complete && self.findings.is_empty()
    }

    /// For people at a terminal of so many columns; with `fix`, what to declare besides.
    ///
    /// # Errors
    /// Of the writer.
    pub fn text(&self, fix: bool, columns: Columns, out: &mut impl Write) -> io::Result<()> {
        for Finding { kind, path, process, command, .. } in &self.findings {
            write!(out, "{:<16}  {path}", kind.name())?;
            match process {
                0 => writeln!(out)?,
                process => {
                    let beside = 16 + path.chars().count() + 4 + label_width(*process);
                    writeln!(out, "  [{process}] {}", clipped(command, beside, columns))?;
                }
            }
        }
        if fix {
            for (kind, list) in
                [(FindingKind::UndeclaredRead, "inputs"), (FindingKind::UndeclaredWrite, "outputs")]
            {
                let missing: Vec<String> =
                    self.findings.iter().filter(|one| one.kind == kind).map(Finding::glob).collect();
                if !missing.is_empty() {
                    writeln!(out, "add to {list}: {}", json!(missing))?;
                }
            }
        }
        if !self.complete {
            writeln!(out, "not everything was seen: `tracerun trace` with the same command says why")?;
        }
        let count = self.findings.len();
        let what = if count == 1 { "finding" } else { "findings" };
        writeln!(
            out,
            "{count} {what}; {} files outside the project were read, which is not checked",
            self.outside
        )
    }

    /// Workflow commands, by which GitHub Actions annotates files.
    ///
    /// # Errors
    /// Of the writer.
    pub fn github(&self, out: &mut impl Write) -> io::Result<()> {
        let data = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
        let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
        for finding in &self.findings {
            let (title, file) = (property(finding.kind.name()), property(&finding.file));
            match finding.process {
                0 => writeln!(out, "::error title={title}::{}", data(&finding.message()))?,
                _ => writeln!(out, "::error file={file},title={title}::{}", data(&finding.message()))?,
            }
        }
        Ok(())
    }

    /// SARIF 2.1.0, as code scanning takes it.
    #[must_use]
    pub fn sarif(&self) -> Value {
        let kinds = [
            FindingKind::UndeclaredRead,
            FindingKind::UndeclaredWrite,
            FindingKind::UnusedInput,
            FindingKind::UnusedOutput,
        ];
        let rule = |kind: FindingKind| json!({"id": kind.id(), "shortDescription": {"text": kind.name()}});
        let result = |finding: &Finding| {
            let mut result = json!({
                "ruleId": finding.kind.id(),
                "level": if finding.process == 0 { "warning" } else { "error" },
                "message": {"text": finding.message()},
            });
            if finding.process != 0 {
                let location = json!({"physicalLocation": {"artifactLocation": {"uri": uri(&finding.file)}}});
                result["locations"] = json!([location]);
            }
            result
        };
        json!({
            "version": "2.1.0",
            "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
            "runs": [{
                "tool": {"driver": {
                    "name": "tracerun",
                    "version": env!("CARGO_PKG_VERSION"),
                    "rules": kinds.map(rule),
                }},
                "results": self.findings.iter().map(result).collect::<Vec<_>>(),
            }],
        })
    }
}

impl Finding {
    fn message(&self) -> String {
        match self.process {
            0 => format!("{}: {} covers nothing that the command used", self.kind.name(), self.path),
            _ => format!("{}: {} by `{}`", self.kind.name(), self.path, self.command),
        }
    }

    /// A glob that covers just this path.
    fn glob(&self) -> String {
        globset::escape(&self.path)
    }
}

/// A path as a reference of RFC 3986.
fn uri(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    path.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_called_from_the_folder_of_the_command() {
        for (path, called) in [
            ("/p/app/src/a", "src/a"),
            ("/p/shared", "../shared"),
            ("/p/app.js", "../app.js"),
            ("/other/x", "/other/x"),
        ] {
            assert_eq!(relative(path.as_bytes(), b"/p/app"), called);
        }
    }
}
