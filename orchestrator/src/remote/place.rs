//! Where things lie seen from the root, so that a run means the same in another checkout; and what names the root all the same.

use std::ffi::OsString;

use platform::files;
use serde::{Deserialize, Serialize};

use crate::bytes::{self, Bytes};
use crate::fingerprint::{InputState, Observation};
use crate::footprint::Actor;
use crate::task::Task;

/// Stands for the root in what is shared. No argument, variable, path or text can hold it, as it has a NUL.
const MASK: &[u8] = b"\0root\0";

/// Where packages are installed to: their files name no checkout.
const INSTALLED: [&[u8]; 8] = [b"/usr", b"/lib", b"/lib64", b"/bin", b"/sbin", b"/opt", b"/nix", b"/dev"];

/// The root of a checkout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Root(Vec<u8>);

/// A path seen from the root.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Location {
    /// What follows the root: empty for the root itself.
    Inside(Bytes),
    /// Below a folder so many levels above the root, by a name. It may have been found by its path or by going up
    /// from the root (`../a`, or a search for `package.json` in every folder above): only what holds for both is the same.
    Above { levels: u32, rest: Bytes, path: Bytes },
    /// The same everywhere.
    Elsewhere(Bytes),
}

/// A look at something, wherever the root lies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Look {
    pub(super) at: Location,
    /// How it was looked at; its path is empty.
    how: Observation,
}

impl Root {
    /// The root of a task; `None` for the root of the file system, which can't be told from what lies elsewhere, and for one with a
    /// name that text may quote.
    pub(super) fn of(task: &Task) -> Option<Self> {
        let path = files::bytes_of_path(&task.root).into_owned();
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-+".contains(byte);
        (path.len() > 1 && path.iter().all(is_plain)).then_some(Self(path))
    }

    pub(super) fn path(&self) -> &[u8] {
        &self.0
    }

    /// How many folders it lies in, that of the file system among them.
    pub(super) fn depth(&self) -> u32 {
        self.0.iter().filter(|&&byte| byte == b'/').count() as u32
    }

    /// The folder so many levels above the root; the topmost where there are not so many.
    fn above(&self, levels: u32) -> &[u8] {
        (0..levels).fold(&self.0[..], |path, _| bytes::parent(path).unwrap_or(b"/"))
    }

    pub(super) fn locate(&self, path: &[u8]) -> Location {
        if let Some(rest) = below(path, &self.0) {
            return Location::Inside(rest.into());
        }
        for levels in 1..=self.depth() {
            let folder = self.above(levels);
            // Nobody goes up as far as that by counting; what is looked for in every folder on the way is seen in those.
            let is_far = folder == b"/" && self.depth() > 1 || INSTALLED.contains(&folder);
            let is_counted = !is_far || path == folder;
            if let Some(rest) = below(path, folder).filter(|_| is_counted) {
                return Location::Above { levels, rest: rest.into(), path: path.into() };
            }
        }
        Location::Elsewhere(path.into())
    }

    /// Whether a path belongs to the system, whose files name no checkout.
    pub(super) fn is_installed(&self, path: &[u8]) -> bool {
        below(path, &self.0).is_none() && INSTALLED.iter().any(|folder| below(path, folder).is_some())
    }

    /// Whether this is an observation of a folder on the way to the root.
    pub(super) fn is_on_the_way(&self, observation: &Observation) -> bool {
        matches!(self.locate(&observation.path), Location::Above { rest, .. } if rest.is_empty())
    }

    /// The paths that a location stands for in this checkout.
    fn paths(&self, at: &Location) -> Vec<Vec<u8>> {
        match at {
            Location::Inside(rest) => vec![joined(&self.0, rest)],
            Location::Above { levels, rest, .. } if rest.is_empty() => vec![self.above(*levels).to_vec()],
            // Both, even if they are one: there are as many states in every checkout.
            Location::Above { levels, rest, path } => vec![joined(self.above(*levels), rest), path.to_vec()],
            Location::Elsewhere(path) => vec![path.to_vec()],
        }
    }

    /// An observation, seen from the root; `None` for one that follows from where the root lies.
    pub(super) fn look(&self, observation: &Observation, state: &InputState) -> Option<Look> {
        let at = self.locate(&observation.path);
        let is_way = matches!(&at, Location::Above { rest, .. } if rest.is_empty());
        if is_way && matches!(state, InputState::Directory { .. }) {
            return None;
        }
        Some(Look { at, how: Observation { path: Bytes::default(), ..observation.clone() } })
    }

    /// The observations that a look stands for in this checkout, at least one.
    pub(super) fn observations(&self, look: &Look) -> Vec<Observation> {
        let Look { at, how } = look;
        let mut how = how.clone();
        if let Location::Above { levels, rest, .. } = at
            && rest.is_empty()
            && *levels > 0
        {
            // That the way to the root is there goes without saying, and it has another name elsewhere.
            how.left_out.push(bytes::name(self.above(levels - 1)).into());
            how.left_out.sort();
            how.left_out.dedup();
        }
        let one = |path: Vec<u8>| Observation { path: path.into(), ..how.clone() };
        self.paths(at).into_iter().map(one).collect()
    }

    /// The same look at what lies further above the root, by so many levels in all.
    pub(super) fn further_up(&self, look: &Look, levels: u32) -> Option<Observation> {
        let Location::Above { rest, path, .. } = &look.at else { return None };
        let at = Location::Above { levels, rest: rest.clone(), path: path.clone() };
        // The first is that which is found by going up.
        self.observations(&Look { at, how: look.how.clone() }).into_iter().next()
    }

    /// A state with the root masked where a link leads into it.
    pub(super) fn masked_state(&self, state: &InputState) -> InputState {
        match state {
            InputState::Symlink { target } => InputState::Symlink { target: self.mask_path(target) },
            other => other.clone(),
        }
    }

    pub(super) fn unmasked_state(&self, state: &InputState) -> InputState {
        match state {
            InputState::Symlink { target } => InputState::Symlink { target: self.unmask(target).into() },
            other => other.clone(),
        }
    }

    /// A path with the root masked if it lies there.
    pub(super) fn mask_path(&self, path: &[u8]) -> Bytes {
        match below(path, &self.0) {
            Some(rest) => joined(MASK, rest).into(),
            None => path.into(),
        }
    }

    /// A path under the root that was masked; `None` for anything else, and for what leads out of it.
    pub(super) fn unmask_path(&self, masked: &[u8]) -> Option<Bytes> {
        let rest = masked.strip_prefix(MASK)?.strip_prefix(b"/")?;
        let is_name = |name: &[u8]| !name.is_empty() && name != b"." && name != b".." && !name.contains(&0);
        rest.split(|&byte| byte == b'/').all(is_name).then(|| joined(&self.0, rest).into())
    }

    /// Text with the root masked wherever it stands at the beginning of a path. `lib/src` does not begin with the root `/src`, so what
    /// is before it counts: nothing, what separates words, or an option of one letter.
    pub(super) fn mask(&self, text: &[u8]) -> Vec<u8> {
        let (mut masked, mut rest, mut at) = (Vec::with_capacity(text.len()), 0, 0);
        while let Some(found) = find(&text[at..], &self.0) {
            let start = at + found;
            let end = start + self.0.len();
            at = end;
            let word =
                text[..start].iter().rposition(|byte| SEPARATORS.contains(byte)).map_or(0, |at| at + 1);
            let begins = match &text[word..start] {
                [] => true,
                [b'-', letter] => letter.is_ascii_alphabetic(),
                _ => false,
            };
            let ends = text.get(end).is_none_or(|byte| *byte == b'/' || SEPARATORS.contains(byte));
            if begins && ends {
                masked.extend_from_slice(&text[rest..start]);
                masked.extend_from_slice(MASK);
                rest = end;
            }
        }
        masked.extend_from_slice(&text[rest..]);
        masked
    }

    /// The text that was masked in another checkout, as it is in this one.
    pub(super) fn unmask(&self, masked: &[u8]) -> Vec<u8> {
        let (mut text, mut rest) = (Vec::with_capacity(masked.len()), masked);
        while let Some(found) = find(rest, MASK) {
            text.extend_from_slice(&rest[..found]);
            text.extend_from_slice(&self.0);
            rest = &rest[found + MASK.len()..];
        }
        text.extend_from_slice(rest);
        text
    }

    /// Whether the root may be named in these bytes, whatever is around it: `$PWD-build` and `$PWD.` are made of it as well; so is what
    /// archives hold, without its first slash.
    pub(super) fn is_named_in(&self, bytes: &[u8]) -> bool {
        let without_slash = self.0.get(1..).filter(|rest| rest.contains(&b'/'));
        find(bytes, without_slash.unwrap_or(&self.0)).is_some()
    }

    /// The same of what a file holds: in that which is no text, compilers may have put a name in parts of eight bytes, with instructions in
    /// between that move them.
    pub(super) fn is_named_in_file(&self, bytes: &[u8]) -> bool {
        self.is_named_in(bytes) || bytes.contains(&0) && self.is_moved_in(bytes)
    }

    fn is_moved_in(&self, bytes: &[u8]) -> bool {
        let (parts, _) = self.0.as_chunks::<8>();
        let Some((first, rest)) = parts.split_first().filter(|(_, rest)| !rest.is_empty()) else {
            return false;
        };
        let follow = |mut at: usize| {
            rest.iter().all(|part| {
                let near = &bytes[at..bytes.len().min(at + WITHIN)];
                find(near, part).inspect(|found| at += found + part.len()).is_some()
            })
        };
        memchr::memmem::find_iter(bytes, first).any(|found| follow(found + first.len()))
    }

    /// How many bytes must be seen at once for [`Root::is_named_in_file`].
    pub(super) fn span(&self) -> usize {
        self.0.len() + self.0.len() / 8 * WITHIN
    }

    /// Whether a link at a path below the root leads out of it by going up, so that it leads elsewhere from a root that lies deeper.
    pub(super) fn climbs_out(&self, link: &[u8], target: &[u8]) -> bool {
        let Some(rest) = below(link, &self.0).filter(|_| !target.starts_with(b"/")) else { return false };
        let folders = rest.iter().filter(|&&byte| byte == b'/').count();
        let mut depth = Some(folders);
        for name in target.split(|&byte| byte == b'/') {
            depth = match name {
                b"" | b"." => depth,
                b".." => depth.and_then(|depth| depth.checked_sub(1)),
                _ => depth.map(|depth| depth + 1),
            };
        }
        // Once out it stays so: back in by the root's name is not the same elsewhere.
        depth.is_none()
    }

    /// Text with the root masked: `None` where it is no text, or names the root in a way that can't be told from another.
    pub(super) fn template(&self, text: &[u8]) -> Option<Vec<u8>> {
        let masked = (!text.contains(&0)).then(|| self.mask(text))?;
        (!self.is_named_in(&masked)).then_some(masked)
    }

    pub(super) fn masked_actor(&self, actor: &Actor) -> Actor {
        actor.with_arguments(|argument| self.mask(argument).into())
    }

    pub(super) fn unmasked_actor(&self, actor: &Actor) -> Actor {
        actor.with_arguments(|argument| self.unmask(argument).into())
    }

    /// The task as it is in every checkout: what it names below the root is masked.
    pub(super) fn masked_task(&self, task: &Task) -> Task {
        let name = |name: &OsString| files::name_of(&self.mask(files::bytes_of(name)));
        let mut masked = task.clone();
        masked.argv = task.argv.iter().map(name).collect();
        masked.root = files::path_of(MASK);
        masked.cwd = self.mask_path(&files::bytes_of_path(&task.cwd)).to_path();
        masked.environment = task.environment.iter().map(|(own, value)| (own.clone(), name(value))).collect();
        masked
    }
}

/// How far apart the parts of a text may be that a compiler moves by eight bytes.
const WITHIN: usize = 64;

/// What separates words, in command lines, lists of paths and messages.
const SEPARATORS: &[u8] = b" \t\r\n=:,;\"'`()<>[]{}|&";

/// What follows `folder` in a path at or under it, without its slash.
fn below<'p>(path: &'p [u8], folder: &[u8]) -> Option<&'p [u8]> {
    if folder == b"/" {
        return path.strip_prefix(b"/");
    }
    match path.strip_prefix(folder)? {
        [] => Some(&[]),
        [b'/', rest @ ..] => Some(rest),
        _ => None,
    }
}

fn joined(folder: &[u8], rest: &[u8]) -> Vec<u8> {
    if rest.is_empty() { folder.to_vec() } else { bytes::join(folder, rest) }
}

/// Where `needle`, which is not empty, begins in `bytes`.
fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(path: &str) -> Root {
        Root(path.into())
    }

    #[test]
    fn a_path_is_the_same_in_another_checkout_unless_it_lies_elsewhere() {
        let (one, two) = (root("/w/one/p"), root("/v/two/q"));
        let at = |path: &str| {
            let paths = two.paths(&one.locate(path.as_bytes()));
            paths.iter().map(|path| String::from_utf8_lossy(path).into_owned()).collect::<Vec<_>>()
        };
        assert_eq!(at("/w/one/p"), ["/v/two/q"]);
        assert_eq!(at("/w/one/p/a/b"), ["/v/two/q/a/b"]);
        assert_eq!(at("/w/one/x"), ["/v/two/x", "/w/one/x"], "by `../x`, or by its path: who knows");
        assert_eq!(at("/w/one"), ["/v/two"]);
        assert_eq!(at("/w/pp"), ["/v/pp", "/w/pp"]);
        assert_eq!(at("/usr/bin/cc"), ["/usr/bin/cc"]);
        assert_eq!(at("/"), ["/"]);
        let docker = root("/usr/src/app");
        assert_eq!(docker.locate(b"/usr/bin/cc"), Location::Elsewhere(b"/usr/bin/cc"[..].into()));
        assert!(docker.is_installed(b"/usr/bin/cc") && !docker.is_installed(b"/usr/src/app/a.c"));
        assert_eq!(
            root("/p").locate(b"/package.json"),
            Location::Above {
                levels: 1,
                rest: b"package.json"[..].into(),
                path: b"/package.json"[..].into(),
            }
        );
    }

    #[test]
    fn the_root_is_masked_only_where_a_path_begins() {
        let root = root("/src");
        let masked =
            |text: &str| String::from_utf8_lossy(&root.mask(text.as_bytes())).replace("\0root\0", "@");
        for (text, expected) in [
            ("/src", "@"),
            ("/src/a.c", "@/a.c"),
            ("-I/src/include", "-I@/include"),
            ("--prefix=/src/out", "--prefix=@/out"),
            ("/bin:/src/bin:/src", "/bin:@/bin:@"),
            ("make: Entering directory '/src'", "make: Entering directory '@'"),
            ("lib/src/a.c", "lib/src/a.c"),
            ("-Ilib/src", "-Ilib/src"),
            ("/usr/src/a", "/usr/src/a"),
            ("file:///src/a", "file:///src/a"),
            ("/srcs", "/srcs"),
            ("/src.old/src", "/src.old/src"),
        ] {
            assert_eq!(masked(text), expected);
            assert_eq!(root.unmask(&root.mask(text.as_bytes())), text.as_bytes());
        }
        assert!(root.template(b"a: /src/b").is_some());
        assert!(root.template(b"file:///src/b").is_none(), "which root is meant can't be told");
        assert!(root.template(b"/src\0").is_none());
    }

    #[test]
    fn whatever_is_made_of_the_root_names_it() {
        let root = root("/home/alice/work/project");
        for text in [
            "/home/alice/work/project",
            "at /home/alice/work/project.",
            "/home/alice/work/project-build/x",
            "x/home/alice/work/project",
            "home/alice/work/project/a in an archive",
            "H\u{b8}/home/alH\u{ba}ice/work\u{0}\u{1}/project",
        ] {
            assert!(root.is_named_in_file(text.as_bytes()), "{text}");
        }
        for text in ["/home/alice/.cargo/registry", "/home/alice/work/other", "project", ""] {
            assert!(!root.is_named_in_file(format!("{text}\0").as_bytes()), "{text}");
        }
        assert!(!super::Root(b"/app".to_vec()).is_named_in(b"app.js"));
    }

    #[test]
    fn a_link_that_leads_up_out_of_the_root_is_told() {
        let root = root("/w/p");
        for (link, target, climbs) in [
            ("/w/p/l", "../x", true),
            ("/w/p/l", "a/../../p/x", true),
            ("/w/p/a/l", "../x", false),
            ("/w/p/a/l", "../../usr", true),
            ("/w/p/l", "/usr", false),
            ("/w/p/l", "a/b", false),
        ] {
            assert_eq!(root.climbs_out(link.as_bytes(), target.as_bytes()), climbs, "{link} {target}");
        }
    }

    #[test]
    fn only_a_path_below_the_root_is_taken_from_others() {
        let root = root("/w/p");
        assert_eq!(root.unmask_path(b"\0root\0/a/b").as_deref(), Some(&b"/w/p/a/b"[..]));
        for bad in [
            "/etc/passwd",
            "\0root\0",
            "\0root\0/../x",
            "\0root\0/a/../../x",
            "\0root\0//a",
            "\0root\0a",
            "\0root\0/a/.",
        ] {
            assert_eq!(root.unmask_path(bad.as_bytes()), None, "{bad:?}");
        }
    }
}
