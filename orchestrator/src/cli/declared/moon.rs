//! moon, which is asked itself: what a task inherits, and what its tokens and file groups stand for, only moon knows.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tracerun::report::check::Declared;

use super::super::Failure;
use super::{answer, escaped};

/// What moon says of a task of the project that `folder` is in, or, named as `PROJECT:TASK`, of another:
/// moonrepo.dev/docs/commands/task.
pub(super) fn moon(task: &str, folder: &Path, root: &Path) -> Result<Declared, Failure> {
    let ancestors = || folder.ancestors().take_while(|place| place.starts_with(root));
    let no = |what: &str| Failure::Asked(format!("--from moon#{task}: {what}"));
    let workspace = ancestors()
        .find(|place| place.join(".moon").is_dir() || place.join(".config/moon").is_dir())
        .ok_or_else(|| no("no folder from here up to the root has a .moon"))?;
    let installed = |place: &Path| place.join("node_modules/.bin/moon");
    let program =
        ancestors().map(installed).find(|path| path.is_file()).unwrap_or_else(|| PathBuf::from("moon"));
    let ask = |arguments: &[&str]| {
        let mut moon = Command::new(&program);
        // What it says is read by a program, and whoever asks it has not asked for a newer one.
        moon.args(arguments)
            .current_dir(folder)
            .env("MOON_LOG", "error")
            .env("NO_COLOR", "1")
            .env("CI", "true");
        answer(&mut moon, &format!("--from moon#{task}: `moon {}`", arguments.join(" ")))
    };
    let target = if task.contains(':') {
        task.to_owned()
    } else {
        let projects = ask(&["query", "projects"])?;
        let below = |project: &&Value| {
            let place = project["root"].as_str().map(Path::new)?;
            folder.starts_with(place).then(|| place.components().count())
        };
        let all = projects["projects"].as_array().into_iter().flatten();
        let nearest = all.filter(|one| below(one).is_some()).max_by_key(below);
        let id = nearest.and_then(|project| project["id"].as_str());
        format!("{}:{task}", id.ok_or_else(|| no("this folder is in no project of moon's"))?)
    };
    Ok(declared(&ask(&["task", &target, "--json"])?, &escaped(workspace)))
}

/// The globs of a task as moon tells it, whose paths are relative to the workspace.
fn declared(task: &Value, workspace: &str) -> Declared {
    let place = |glob: &str| match glob.strip_prefix('!') {
        Some(rest) => format!("!{workspace}/{rest}"),
        None => format!("{workspace}/{glob}"),
    };
    let all = |files: &str, globs: &str| -> Vec<String> {
        let names = |field: &str| task[field].as_object().into_iter().flat_map(|map| map.keys().cloned());
        let files = names(files).map(|file| place(&globset::escape(&file)));
        let mut all: Vec<String> = files.chain(names(globs).map(|glob| place(&glob))).collect();
        // It tells them in no order; what is taken back is taken back of all.
        all.sort_by_key(|glob| glob.starts_with('!'));
        all
    };
    // moon's own configuration counts for each task.
    let own = format!("{workspace}/.moon/");
    let (implied_inputs, inputs) =
        all("inputFiles", "inputGlobs").into_iter().partition(|glob| glob.starts_with(&own));
    Declared { inputs, outputs: all("outputFiles", "outputGlobs"), implied_inputs, ..Declared::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_moon_says_is_relative_to_the_workspace() {
        let task = json!({
            "inputFiles": {"apps/[web]/package.json": {}}, "outputFiles": {"apps/web/dist": {"optional": false}},
            "inputGlobs": {"!apps/web/src/**/*.test.js": {"cache": true}, ".moon/*.{yml,pkl}": {"cache": true}},
        });
        let declared = declared(&task, "/w");
        assert_eq!(declared.inputs, ["/w/apps/[[]web[]]/package.json", "!/w/apps/web/src/**/*.test.js"]);
        assert_eq!(
            (declared.outputs, declared.implied_inputs),
            (vec!["/w/apps/web/dist".into()], vec!["/w/.moon/*.{yml,pkl}".into()])
        );
    }
}
