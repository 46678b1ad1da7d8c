//! What names mean in a process that has taken another root (`chroot`): walked from outside, as the kernel walks them.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// The most symbolic links that the kernel follows in one name: `MAXSYMLINKS` in linux/namei.h.
const MOST_LINKS: usize = 40;

/// Where a name leads.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Walk {
    /// The path as it is outside, with no link on the way; what is behind the first thing that is not there is kept as it was.
    pub(super) path: Vec<u8>,
    /// The links that were followed, in their order.
    pub(super) links: Vec<Vec<u8>>,
    /// Whether there were more links than the kernel follows: the call will fail.
    pub(super) is_loop: bool,
}

/// Walks `name` for a process whose root is the folder `root`: from there if the name or a link is absolute, else from
/// `folder`. A link at the end is followed if `follow`. All but `name` are absolute, outside, and have no link in them.
pub(super) fn walk(root: &[u8], folder: &[u8], name: &[u8], follow: bool) -> Walk {
    let start = if name.starts_with(b"/") { root } else { folder };
    let mut path = start.strip_suffix(b"/").unwrap_or(start).to_vec();
    let root = root.strip_suffix(b"/").unwrap_or(root);
    let mut links = Vec::new();
    // What is left to walk, the next one last.
    let mut left = parts(name);
    let ends_in_folder = name.ends_with(b"/") || name.ends_with(b"/.");
    while let Some(part) = left.pop() {
        if part == b".." {
            if path != root {
                path.truncate(path.iter().rposition(|&byte| byte == b'/').unwrap_or(0));
            }
            continue;
        }
        path.push(b'/');
        path.extend_from_slice(&part);
        let is_last = left.is_empty() && !ends_in_folder;
        let here = Path::new(OsStr::from_bytes(&path));
        match fs::symlink_metadata(here) {
            Ok(found) if found.is_symlink() && (follow || !is_last) => {}
            Ok(_) => continue,
            Err(_) => {
                for part in left.iter().rev() {
                    path.push(b'/');
                    path.extend_from_slice(part);
                }
                break;
            }
        }
        let Ok(target) = fs::read_link(here) else { continue };
        links.push(path.clone());
        if links.len() > MOST_LINKS {
            return Walk { path, links, is_loop: true };
        }
        let target = target.into_os_string().into_vec();
        if target.starts_with(b"/") {
            path = root.to_vec();
        } else {
            path.truncate(path.len() - part.len() - 1);
        }
        left.extend(parts(&target));
    }
    if path.is_empty() {
        path.push(b'/');
    }
    Walk { path, links, is_loop: false }
}

/// The parts of a name that lead somewhere, the first one last.
fn parts(name: &[u8]) -> Vec<Vec<u8>> {
    let parts = name.split(|&byte| byte == b'/').rev();
    parts.filter(|part| !matches!(*part, b"" | b".")).map(<[u8]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_name_leads_where_the_kernel_finds_it_below_another_root() {
        let outside = tempfile::tempdir().expect("a folder");
        let outside = outside.path().canonicalize().expect("a path");
        let root = outside.join("root");
        fs::create_dir_all(root.join("usr/bin")).expect("made");
        fs::write(root.join("usr/bin/sh"), "").expect("written");
        symlink("/usr/bin", root.join("bin")).expect("linked");
        symlink("../../../../usr", root.join("usr/up")).expect("linked");
        symlink("/loop", root.join("loop")).expect("linked");
        symlink("usr", root.join("end")).expect("linked");
        let bytes = |path: &Path| path.as_os_str().as_bytes().to_vec();
        let walked =
            |folder: &Path, name: &str, follow| walk(&bytes(&root), &bytes(folder), name.as_bytes(), follow);
        let to = |path: &str| bytes(&root.join(path));
        for (folder, name, follow, path, links) in [
            (&root, "/bin/sh", true, "usr/bin/sh", &["bin"][..]),
            (&root, "bin//./sh", true, "usr/bin/sh", &["bin"]),
            (&root, "/usr/up/up/bin/sh", true, "usr/bin/sh", &["usr/up", "usr/up"]),
            (&root, "/../../usr/bin/..", true, "usr", &[]),
            (&root, "end", false, "end", &[]),
            (&root, "end/", false, "usr", &["end"]),
            (&root, "end", true, "usr", &["end"]),
            (&root, "/none/../bin", true, "none/../bin", &[]),
        ] {
            let links = links.iter().map(|link| to(link)).collect();
            assert_eq!(
                walked(folder, name, follow),
                Walk { path: to(path), links, is_loop: false },
                "{name}"
            );
        }
        assert!(walked(&root, "/loop", true).is_loop);
        // A working directory that was left outside the root.
        assert_eq!(walked(&outside, "../x", true).path, bytes(&outside.with_file_name("x")));
        assert_eq!(walked(&outside, "/", true).path, bytes(&root));
        assert_eq!(walk(b"/", b"/", b"/", true).path, b"/");
    }
}
