//! What a task runner's own configuration declares of a task (`--from`): a file for each runner.

mod moon;
mod nx;
mod turbo;
mod vite;

use std::path::Path;
use std::process::Command;

use platform::files;
use serde_json::Value;
use tracerun::report::check::Declared;

use super::Failure;

/// What `spec`, as in `turbo#build`, declares of a command that runs in `folder` of the project at `root`.
///
/// # Errors
/// It is not understood, or there is no such task.
pub(super) fn from(spec: &str, folder: &Path, root: &Path) -> Result<Declared, Failure> {
    match spec.split_once('#') {
        Some(("turbo", task)) if !task.is_empty() => turbo::turbo(task, folder, root),
        Some(("nx", target)) if !target.is_empty() => nx::nx(target, folder, root),
        Some(("moon", task)) if !task.is_empty() => moon::moon(task, folder, root),
        Some(("vite", task)) if !task.is_empty() => vite::vite(task, folder, root),
        _ => Err(Failure::Asked(format!(
            "--from {spec}: it is of the form turbo#TASK, nx#TARGET, moon#TASK or vite#TASK"
        ))),
    }
}

/// What matches this path and nothing else.
fn escaped(path: &Path) -> String {
    globset::escape(&String::from_utf8_lossy(&files::bytes_of_path(path)))
}

/// What `command`, which `who` is to provide, answers in JSON.
fn answer(command: &mut Command, who: &str) -> Result<Value, Failure> {
    let failed = |what: &str| Failure::Asked(format!("{who}: {what}"));
    let output = command.output().map_err(|error| failed(&error.to_string()))?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        return Err(failed(String::from_utf8_lossy(&said).trim()));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| failed(&format!("its answer is no JSON: {error}")))
}

/// JSON without the comments and the commas before an end that people may write there.
fn plain_json(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    let mut in_string = false;
    while let Some(character) = rest.chars().next() {
        let mut length = character.len_utf8();
        match character {
            '\\' if in_string => {
                length += rest[1..].chars().next().map_or(0, char::len_utf8);
                plain.push_str(&rest[..length]);
            }
            '"' => {
                in_string = !in_string;
                plain.push('"');
            }
            '/' if !in_string && rest.starts_with("//") => length = rest.find('\n').unwrap_or(rest.len()),
            '/' if !in_string && rest.starts_with("/*") => {
                length = rest.find("*/").map_or(rest.len(), |end| end + 2);
            }
            ']' | '}' if !in_string => {
                let end = plain.trim_end();
                if end.ends_with(',') {
                    plain.truncate(end.len() - 1);
                }
                plain.push(character);
            }
            other => plain.push(other),
        }
        rest = &rest[length..];
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_last_commas_are_no_json() {
        let text =
            "{ // \"no\": 1\n \"a\": [\"//x\", \"/* y */\", \"\\\"\",], /* b */ \"c\": {\"d\": 1,},\n}";
        let value: Value = serde_json::from_str(&plain_json(text)).expect("JSON");
        assert_eq!(value, serde_json::json!({"a": ["//x", "/* y */", "\""], "c": {"d": 1}}));
    }
}
