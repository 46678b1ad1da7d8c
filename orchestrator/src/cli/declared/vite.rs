//! Vite Task (`vp run`): `run.tasks` of `vite.config.*`, which is a program, and so is run by the project's own Vite.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tracerun::report::check::Declared;

use super::super::Failure;
use super::{answer, escaped};

/// What loads the configuration, in Node.
const LOADER: &str = include_str!("load_vite.mjs");

/// What marks the root of a workspace.
const ROOTS: &[&str] =
    &["pnpm-workspace.yaml", "pnpm-lock.yaml", "package-lock.json", "yarn.lock", "bun.lock", "bun.lockb"];

/// The task of the nearest package with a `vite.config.*`: viteplus.dev/config/run. Its `input` and `output` may stand in its `cache`,
/// as from Vite+ 1.0 on, or beside it.
pub(super) fn vite(task: &str, folder: &Path, root: &Path) -> Result<Declared, Failure> {
    let no = |what: &str| Failure::Asked(format!("--from vite#{task}: {what}"));
    let ancestors = || folder.ancestors().take_while(|place| place.starts_with(root));
    let is_configured = |place: &&Path| {
        ["ts", "js", "mjs", "mts", "cjs", "cts"]
            .iter()
            .any(|end| place.join(format!("vite.config.{end}")).is_file())
    };
    let package =
        ancestors().find(is_configured).ok_or_else(|| no("no vite.config.* from here up to the root"))?;
    let workspace =
        ancestors().find(|place| ROOTS.iter().any(|name| place.join(name).is_file())).unwrap_or(root);
    let mut node = Command::new("node");
    node.args(["--input-type=module", "-e", LOADER]).current_dir(package);
    let run = answer(&mut node, &format!("--from vite#{task}: its configuration can't be loaded by `node`"))?;
    let found = run["tasks"].get(task).ok_or_else(|| no("vite.config.* has no such task in run.tasks"))?;
    declared(found, &escaped(package), &escaped(workspace))
        .ok_or_else(|| no("its input or output is not understood"))
}

/// The globs of a task; `None` where they are not understood.
fn declared(task: &Value, package: &str, workspace: &str) -> Option<Declared> {
    let mut all = Declared::default();
    for (field, globs, implied) in [
        ("input", &mut all.inputs, &mut all.implied_inputs),
        ("output", &mut all.outputs, &mut all.implied_outputs),
    ] {
        // What is found out by itself covers everything, and is nothing that somebody wrote down.
        let everything = format!("{workspace}/**");
        let Some(list) = task["cache"].get(field).or_else(|| task.get(field)) else {
            implied.push(everything);
            continue;
        };
        for one in list.as_array()? {
            let (base, pattern) = match (one.as_str(), one["auto"].as_bool()) {
                (Some(pattern), _) => (package, pattern),
                (None, Some(true)) => {
                    implied.push(everything.clone());
                    continue;
                }
                (None, Some(false)) => continue,
                (None, None) => {
                    let base = if one["base"].as_str()? == "workspace" { workspace } else { package };
                    (base, one["pattern"].as_str()?)
                }
            };
            globs.push(match pattern.strip_prefix('!') {
                Some(rest) => format!("!{base}/{rest}"),
                None => format!("{base}/{pattern}"),
            });
        }
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_task_says_what_is_tracked_and_what_is_named() {
        let of = |task: Value| declared(&task, "/w/p", "/w");
        let named = of(
            json!({"cache": {"input": ["src/**", {"pattern": "!shared/*", "base": "workspace"}], "output": []}}),
        );
        let named = named.expect("understood");
        assert_eq!(named.inputs, ["/w/p/src/**", "!/w/shared/*"]);
        assert!(
            named.outputs.is_empty() && named.implied_outputs.is_empty() && named.implied_inputs.is_empty()
        );
        let tracked = of(json!({"command": "x", "cache": true, "input": [{"auto": true}, "!dist/**"]}))
            .expect("understood");
        assert_eq!(
            (tracked.inputs, tracked.implied_inputs),
            (vec!["!/w/p/dist/**".into()], vec!["/w/**".into()])
        );
        assert_eq!(tracked.implied_outputs, ["/w/**"]);
        assert_eq!(of(json!({"input": "src"})), None);
    }
}
