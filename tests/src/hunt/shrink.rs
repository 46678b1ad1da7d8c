//! The smallest part of a case that still differs, and how a person tries it.

use std::fmt::Write;

use super::generate::{Case, Change};
use super::world::{Difference, World};
use super::{Failure, Tally};

/// Leaves out of a case that failed what it does not need to differ. Gives the rest and its difference.
#[must_use]
pub fn shrunk(world: &World, failure: &Failure) -> (Case, Difference) {
    let (mut case, mut difference) = (Case::new(failure.seed), failure.difference.clone());
    if let Difference::Runs { run, .. } = difference {
        case.changes.truncate(run);
    }
    loop {
        let lines = case.changes.len() + case.script.len() + case.setup.len();
        let smaller = (0..lines).find_map(|line| {
            let mut smaller = case.clone();
            remove(&mut smaller, line);
            match world.try_case(&smaller, &mut Tally::default()) {
                Err(found @ Difference::Runs { .. }) => Some((smaller, found)),
                _ => None,
            }
        });
        match smaller {
            Some(smaller) => (case, difference) = smaller,
            None => return (case, difference),
        }
    }
}

/// Removes one line: changes first, then the script, then what is set up.
fn remove(case: &mut Case, line: usize) {
    let (changes, script) = (case.changes.len(), case.script.len());
    if line < changes {
        case.changes.remove(line);
    } else if line < changes + script {
        case.script.remove(line - changes);
    } else {
        case.setup.remove(line - changes - script);
    }
}

impl Case {
    /// A script that does by hand what the hunt did.
    #[must_use]
    pub fn by_hand(&self) -> String {
        let mut text = String::from(
            "top=$(mktemp -d); mkdir -p $top/world/project/.git $top/world/outside $top/world/tmp $top/world/home\n\
             export LC_ALL=C HOME=$top/world/home TMPDIR=$top/world/tmp\n\
             export PATH=$top/world/project/e:$top/world/project/bin:$top/tools:$PATH\n\
             cd $top/world/project\n",
        );
        let mut line = |line: &str| {
            text.push_str(line);
            text.push('\n');
        };
        self.setup.iter().for_each(|step| line(step));
        line("cp -a $top/world $top/saved");
        let mut quoted = String::new();
        // Writing to a string can't fail.
        let _ = write!(quoted, "'{}'", self.script.join("\n").replace('\'', "'\\''"));
        line(&format!("script={quoted}"));
        let run = |directory: &str| {
            let options = self.options.join(" ");
            format!("(cd {directory}; tracerun --cache-dir $top/cache {options} -- sh -c \"$script\")")
        };
        let mut directory = ".";
        line(&run(directory));
        for change in &self.changes {
            match change {
                Change::Directory(name) => directory = name,
                change => line(&change.to_string()),
            }
            line(&run(directory));
        }
        text
    }
}
