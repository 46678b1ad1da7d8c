//! The book in `docs/`: its pages are there, its links lead somewhere, and what its tutorial shows is what happens.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use tracerun_tests::sandbox::Sandbox;
use tracerun_tests::{fixture, have};

fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("there")
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Where the links of a page lead, but for those to other sites.
fn links(page: &str) -> Vec<String> {
    // What stands in blocks of code is no link.
    let prose = page.split("```").step_by(2).collect::<String>();
    let targets = prose.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0.to_owned()));
    targets.filter(|target| !target.contains("://")).collect()
}

/// How a heading is linked to, as mdBook and GitHub have it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = kept.chars().filter(|one| one.is_alphanumeric() || [' ', '-', '_'].contains(one));
    kept.map(|one| if one == ' ' { '-' } else { one }).collect()
}

#[test]
fn every_page_is_in_the_summary_and_every_link_leads_somewhere() {
    let docs = checkout().join("docs");
    let listed: BTreeSet<String> = links(&text(&docs.join("SUMMARY.md"))).into_iter().collect();
    let there: BTreeSet<String> = fs::read_dir(&docs)
        .expect("there")
        .map(|entry| entry.expect("read").file_name().into_string().expect("UTF-8"))
        .filter(|name| name.ends_with(".md") && name != "SUMMARY.md")
        .collect();
    assert_eq!(listed, there);
    let pages = there.iter().map(|name| docs.join(name));
    let others = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"].map(|name| checkout().join(name));
    for page in pages.chain(others) {
        for link in links(&text(&page)) {
            let (file, heading) = link.split_once('#').unwrap_or((&link, ""));
            let target =
                if file.is_empty() { page.clone() } else { page.parent().expect("a folder").join(file) };
            assert!(target.exists(), "{}: {link} leads nowhere", page.display());
            let has_heading =
                || text(&target).lines().any(|line| line.starts_with('#') && anchor(line) == heading);
            assert!(heading.is_empty() || has_heading(), "{}: there is no {link}", page.display());
        }
    }
}

/// A command of a page, with what it prints.
struct Step {
    command: String,
    printed: Vec<String>,
}

/// The commands in the blocks of a page that show a console: `$ ` begins one, `> ` goes on with it.
fn steps(page: &str) -> Vec<Step> {
    let blocks = page.split("```").skip(1).step_by(2).filter_map(|block| block.strip_prefix("console\n"));
    let mut steps: Vec<Step> = Vec::new();
    for line in blocks.flat_map(str::lines) {
        if let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step { command: command.to_owned(), printed: Vec::new() });
        } else if let Some(more) = line.strip_prefix("> ") {
            let last = steps.last_mut().expect("a command before it");
            let _ = write!(last.command, "\n{more}");
        } else {
            steps.last_mut().expect("a command before it").printed.push(line.to_owned());
        }
    }
    steps
}

/// A line without what is another each time: numbers of runs and processes, times, and how columns are aligned.
fn plain(line: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in line.split_whitespace() {
        let bare = word.trim_end_matches([',', ':', ')']);
        let is_run = bare.len() == 8 && bare.bytes().all(|byte| byte.is_ascii_hexdigit());
        let in_brackets = bare.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let is_number =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        if ["ms", "s", "min"].contains(&bare) && words.pop_if(|before| is_number(before)).is_some() {
            words.pop_if(|before| before == "TIME");
            words.push(format!("TIME{}", &word[bare.len()..]));
        } else if is_run {
            words.push(format!("RUN{}", &word[bare.len()..]));
        } else if in_brackets.is_some_and(is_number) {
            words.push("[N]".to_owned());
        } else {
            words.push(word.to_owned());
        }
    }
    words.join(" ")
}

/// Whether a line is as it is shown, in which `…` stands for anything.
fn is_shown(line: &str, shown: &str) -> bool {
    match shown.split_once('…') {
        None => line == shown,
        Some((start, rest)) => line.strip_prefix(start).is_some_and(|line| {
            let mut ends = line.char_indices().map(|(at, _)| at).chain([line.len()]);
            ends.any(|at| is_shown(&line[at..], rest))
        }),
    }
}

/// Whether all lines are as they are shown; a line that is `…` stands for any number of them.
fn are_shown(lines: &[String], shown: &[String]) -> bool {
    match shown.split_first() {
        None => lines.is_empty(),
        Some((first, rest)) if first == "…" => (0..=lines.len()).any(|at| are_shown(&lines[at..], rest)),
        Some((first, rest)) => {
            lines.split_first().is_some_and(|(line, lines)| is_shown(line, first) && are_shown(lines, rest))
        }
    }
}

/// Runs what a page shows, with programs from `folders` besides, and compares what is printed.
fn follow(page: &str, folders: &[PathBuf]) {
    const END: &str = "--- end of a step";
    let steps = steps(&text(&checkout().join("docs").join(page)));
    assert!(!steps.is_empty(), "{page} shows nothing");
    let sandbox = Sandbox::new();
    // One shell for all, so that `cd` and the like hold on; each begins with no input.
    let mut script = "exec </dev/null 2>&1\n".to_owned();
    for step in &steps {
        let _ = write!(script, "{}\necho '{END}'\n", step.command);
    }
    let home = sandbox.top().join("home");
    fs::write(sandbox.top().join("script"), script).expect("written");
    let mut shell = sandbox.command("sh");
    let own = tracerun_tests::tracerun().parent().expect("it is in a folder").to_owned();
    let others = std::env::var_os("PATH").unwrap_or_default();
    let path = [own].into_iter().chain(folders.iter().cloned()).chain(std::env::split_paths(&others));
    let path = std::env::join_paths(path);
    let shell =
        shell.env("PATH", path.expect("no colons")).current_dir(&home).arg(sandbox.top().join("script"));
    // Programs shown here are to talk to nobody.
    let output =
        shell.envs([("TURBO_TELEMETRY_DISABLED", "1"), ("DO_NOT_TRACK", "1")]).output().expect("sh runs");
    let printed = String::from_utf8_lossy(&output.stdout).replace(home.to_str().expect("UTF-8"), "/home/you");
    let end = format!("{END}\n");
    let mut parts = printed.split(&*end);
    for Step { command, printed } in steps {
        let part = parts.next().unwrap_or_default();
        let lines: Vec<String> = part.lines().map(plain).collect();
        let shown: Vec<String> = printed.iter().map(|line| plain(line)).collect();
        assert!(are_shown(&lines, &shown), "{page}: $ {command}\nshown:\n{shown:#?}\nprinted:\n{lines:#?}");
    }
}

#[test]
fn the_tutorial_shows_what_happens() {
    if have("make") && have("cc") && have("git") {
        follow("tutorial.md", &[]);
    }
}

#[test]
fn what_is_claimed_of_others_is_what_they_do() {
    let Some(runners) = fixture("runners/node_modules/.bin") else { return };
    if ["ccache", "strace", "cc", "git", "npm"].into_iter().all(have) {
        follow("comparison.md", &[runners]);
    }
}

#[test]
fn what_is_shown_is_compared_but_for_what_is_another_each_time() {
    assert_eq!(plain("da9db087  hit   1 min 5 s ago, 12 ms  make"), "RUN hit TIME ago, TIME make");
    assert_eq!(plain("by [12] cc, 3 paths"), "by [N] cc, 3 paths");
    assert!(is_shown("a b c", "a … c") && is_shown("a b c", "…") && !is_shown("a b c", "a …b"));
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    assert!(are_shown(&lines("a\nb\nc"), &lines("a\n…")) && are_shown(&lines("a"), &lines("a\n…")));
    assert!(!are_shown(&lines("a\nb"), &lines("a")));
}
