//! What a task runner's own configuration declares of a task (`--from`).

use std::fs;
use std::path::Path;

use platform::files;
use serde_json::{Map, Value};
use tracerun::report::check::Declared;

use super::Failure;

/// What `spec`, as in `turbo#build`, declares of a command that runs in `folder` of the project at `root`.
///
/// # Errors
/// It is not understood, or there is no such task.
pub(super) fn from(spec: &str, folder: &Path, root: &Path) -> Result<Declared, Failure> {
    match spec.split_once('#') {
        Some(("turbo", task)) if !task.is_empty() => turbo(task, folder, root),
        Some(("nx", target)) if !target.is_empty() => nx(target, folder, root),
        _ => Err(Failure::Asked(format!("--from {spec}: it is of the form turbo#TASK or nx#TARGET"))),
    }
}

/// `tasks` (or `pipeline`, as they were called) of the nearest `turbo.json` that has the task: turborepo.com/docs/reference/configuration.
fn turbo(task: &str, folder: &Path, root: &Path) -> Result<Declared, Failure> {
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
        let above = files::bytes_of_path(place);
        let above = globset::escape(&String::from_utf8_lossy(&above));
        let translate = |glob: String| match glob.strip_prefix("$TURBO_ROOT$/") {
            _ if glob == "$TURBO_DEFAULT$" => "**".to_owned(),
            Some(rest) => format!("{above}/{rest}"),
            None => glob,
        };
        let inputs = list(found.get("inputs"), "inputs")?.unwrap_or_else(|| vec!["**".to_owned()]);
        let mut inputs: Vec<String> = inputs.into_iter().map(translate).collect();
        for glob in list(whole.get("globalDependencies"), "globalDependencies")?.unwrap_or_default() {
            inputs.push(format!("{above}/{glob}"));
        }
        let outputs = list(found.get("outputs"), "outputs")?.unwrap_or_default();
        let outputs = outputs.into_iter().map(translate).collect();
        return Ok(Declared { inputs, outputs });
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

/// The target of the nearest `project.json` or `package.json` that has it, with the defaults and the named inputs of `nx.json`:
/// nx.dev/docs/reference/inputs. What is not about files (variables, versions, other projects) is left out.
fn nx(target: &str, folder: &Path, root: &Path) -> Result<Declared, Failure> {
    let read = |path: &Path| -> Result<Value, Failure> {
        let Ok(text) = fs::read_to_string(path) else { return Ok(Value::Null) };
        serde_json::from_str(&plain_json(&text))
            .map_err(|error| Failure::Asked(format!("{}: {error}", path.display())))
    };
    let ancestors = || folder.ancestors().take_while(|place| place.starts_with(root));
    let workspace = ancestors().find(|place| place.join("nx.json").is_file()).unwrap_or(root);
    let defaults = read(&workspace.join("nx.json"))?;
    for project in ancestors() {
        let own = read(&project.join("project.json"))?;
        let package = read(&project.join("package.json"))?;
        let found = own["targets"].get(target).or_else(|| package["nx"]["targets"].get(target));
        let script =
            package["scripts"].get(target).filter(|_| package.get("nx").is_some() || own.is_object());
        let Some(found) = found.or(script) else { continue };
        let name =
            own.get("name").or_else(|| package.get("name")).and_then(Value::as_str).unwrap_or_default();
        let default = &defaults["targetDefaults"][target];
        let place = Nx { project, workspace, name, options: &found["options"] };
        let named = [&own["namedInputs"], &package["nx"]["namedInputs"], &defaults["namedInputs"]];
        let everything = Value::from(vec!["default"]);
        let inputs = found.get("inputs").or_else(|| default.get("inputs")).unwrap_or(&everything);
        let mut declared = Declared::default();
        place.inputs(inputs, &named, &mut Vec::new(), &mut declared.inputs);
        let outputs = found.get("outputs").or_else(|| default.get("outputs"));
        let outputs = outputs.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        declared.outputs = outputs.filter_map(|glob| place.glob(glob)).collect();
        return Ok(declared);
    }
    Err(Failure::Asked(format!(
        "--from nx#{target}: no project.json or package.json from here up to the root has this target"
    )))
}

/// Where a target of Nx is.
struct Nx<'p> {
    project: &'p Path,
    workspace: &'p Path,
    name: &'p str,
    options: &'p Value,
}

impl Nx<'_> {
    /// Adds the globs among `inputs`, with those of the named inputs that they name.
    fn inputs<'v>(
        &self,
        inputs: &'v Value,
        named: &[&'v Value],
        within: &mut Vec<&'v str>,
        globs: &mut Vec<String>,
    ) {
        for input in inputs.as_array().into_iter().flatten() {
            let Some(text) = input.as_str().or_else(|| input["fileset"].as_str()) else { continue };
            // What other projects have is theirs.
            if text.starts_with('^') {
                continue;
            }
            let is_glob = text.contains(['{', '/', '*']);
            match named.iter().find_map(|named| named.get(text)) {
                Some(more) if !within.contains(&text) => {
                    within.push(text);
                    self.inputs(more, named, within, globs);
                    within.pop();
                }
                None if text == "default" => globs.extend(self.glob("{projectRoot}/**/*")),
                None if is_glob => globs.extend(self.glob(text)),
                _ => {}
            }
        }
    }

    /// A glob with its places and options filled in; `None` where one is not known.
    fn glob(&self, glob: &str) -> Option<String> {
        let (not, glob) = glob.strip_prefix('!').map_or(("", glob), |rest| ("!", rest));
        let path = |path: &Path| globset::escape(&String::from_utf8_lossy(&files::bytes_of_path(path)));
        let mut filled = glob.replace("{projectRoot}", &path(self.project));
        filled = filled.replace("{workspaceRoot}", &path(self.workspace));
        filled = filled.replace("{projectName}", &globset::escape(self.name));
        while let Some((before, rest)) = filled.split_once("{options.") {
            let (name, after) = rest.split_once('}')?;
            filled = format!("{before}{}{after}", globset::escape(self.options[name].as_str()?));
        }
        let is_relative = !filled.starts_with('/');
        Some(if is_relative {
            format!("{not}{}/{filled}", path(self.workspace))
        } else {
            format!("{not}{filled}")
        })
    }
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
