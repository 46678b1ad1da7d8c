//! Turborepo: `turbo.json`.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value};
use tracerun::report::check::Declared;

use super::super::Failure;
use super::{escaped, plain_json};

/// What counts for each task of a package, declared or not: `turbo run --dry=json` has it among the inputs. The manifest of the whole
/// repository and the lock file count by what they say of packages, not by their content.
const OWN: &str = "package.json";

/// `tasks` (or `pipeline`, as they were called) of the nearest `turbo.json` that has the task: turborepo.com/docs/reference/configuration.
pub(super) fn turbo(task: &str, folder: &Path, root: &Path) -> Result<Declared, Failure> {
    for place in folder.ancestors().take_while(|place| place.starts_with(root)) {
        let path = place.join("turbo.json");
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let bad = |what: String| Failure::Asked(format!("{}: {what}", path.display()));
        let whole: Value =
            serde_json::from_str(&plain_json(&text)).map_err(|error| bad(error.to_string()))?;
        let tasks = whole.get("tasks").or_else(|| whole.get("pipeline")).and_then(Value::as_object);
        let Some(found) = tasks.and_then(|tasks| named(tasks, task, folder)) else { continue };
        let list = |value: Option<&Value>, name: &str| -> Result<Option<Vec<String>>, Failure> {
            let Some(value) = value else { return Ok(None) };
            let words: Option<Vec<String>> = value
                .as_array()
                .map(|list| list.iter().map(|one| one.as_str().map(str::to_owned)).collect())
                .unwrap_or(None);
            words.map(Some).ok_or_else(|| bad(format!("{name} of {task} is no list of globs")))
        };
        let above = escaped(place);
        let translate = |glob: String| match glob.strip_prefix("$TURBO_ROOT$/") {
            _ if glob == "$TURBO_DEFAULT$" => "**".to_owned(),
            Some(rest) => format!("{above}/{rest}"),
            None => glob,
        };
        // What is excluded stays so, wherever it stands in the list, as `turbo run --dry=json` shows.
        let in_order = |list: Vec<String>| {
            let (excluded, included): (Vec<_>, Vec<_>) =
                list.into_iter().partition(|glob| glob.starts_with('!'));
            included.into_iter().chain(excluded).map(translate).collect()
        };
        let inputs = list(found.get("inputs"), "inputs")?.unwrap_or_else(|| vec!["**".to_owned()]);
        let inputs = in_order(inputs);
        let outputs = in_order(list(found.get("outputs"), "outputs")?.unwrap_or_default());
        let mut implied_inputs = vec![OWN.to_owned()];
        for glob in list(whole.get("globalDependencies"), "globalDependencies")?.unwrap_or_default() {
            implied_inputs.push(format!("{above}/{glob}"));
        }
        return Ok(Declared { inputs, outputs, implied_inputs, ..Declared::default() });
    }
    Err(Failure::Asked(format!("--from turbo#{task}: no turbo.json from here up to the root has this task")))
}

/// The task of that name, of this package alone or of all.
fn named<'t>(tasks: &'t Map<String, Value>, task: &str, folder: &Path) -> Option<&'t Value> {
    let manifest = fs::read_to_string(folder.join("package.json")).unwrap_or_default();
    let package = serde_json::from_str::<Value>(&manifest).unwrap_or_default();
    let own =
        package.get("name").and_then(Value::as_str).and_then(|name| tasks.get(&format!("{name}#{task}")));
    own.or_else(|| tasks.get(task))
}
