//! Nx: `project.json`, `package.json` and `nx.json`.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tracerun::report::check::Declared;

use super::super::Failure;
use super::{escaped, plain_json};

/// The target of the nearest `project.json` or `package.json` that has it, with the defaults and the named inputs of `nx.json`:
/// nx.dev/docs/reference/inputs. What is not about files (variables, versions, other projects) is left out.
pub(super) fn nx(target: &str, folder: &Path, root: &Path) -> Result<Declared, Failure> {
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
        let mut filled = glob.replace("{projectRoot}", &escaped(self.project));
        filled = filled.replace("{workspaceRoot}", &escaped(self.workspace));
        filled = filled.replace("{projectName}", &globset::escape(self.name));
        while let Some((before, rest)) = filled.split_once("{options.") {
            let (name, after) = rest.split_once('}')?;
            filled = format!("{before}{}{after}", globset::escape(self.options[name].as_str()?));
        }
        let is_relative = !filled.starts_with('/');
        Some(if is_relative {
            format!("{not}{}/{filled}", escaped(self.workspace))
        } else {
            format!("{not}{filled}")
        })
    }
}
