//! What stands in a folder, to be compared: names, types, permission bits, contents and targets of links.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// What stands at one path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Node {
    File { mode: u32, content: Vec<u8> },
    Folder { mode: u32 },
    Link { target: PathBuf },
    Other,
}

/// All that stands below a folder.
pub(super) type Tree = BTreeMap<PathBuf, Node>;

/// Looks at all that stands below `folder`.
pub(super) fn tree(folder: &Path) -> io::Result<Tree> {
    let mut tree = Tree::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let node = look(&path)?;
            if matches!(node, Node::Folder { .. }) {
                folders.push(path.clone());
            }
            tree.insert(path, node);
        }
    }
    Ok(tree)
}

fn look(path: &Path) -> io::Result<Node> {
    let metadata = fs::symlink_metadata(path)?;
    let mode = metadata.mode() & 0o7777;
    Ok(if metadata.is_dir() {
        Node::Folder { mode }
    } else if metadata.is_symlink() {
        Node::Link { target: fs::read_link(path)? }
    } else if metadata.is_file() {
        Node::File { mode, content: fs::read(path)? }
    } else {
        Node::Other
    })
}

/// Makes what stands at `path` what it was; what is in a folder stays, and a folder that is not empty too.
pub(super) fn put_back(path: &Path, node: Option<&Node>) -> io::Result<()> {
    let now = look(path).ok();
    if now.as_ref() == node {
        return Ok(());
    }
    match (&now, node) {
        (Some(Node::Folder { .. }), Some(Node::Folder { .. })) | (None, _) => {}
        (Some(Node::Folder { .. }), _) => match fs::remove_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => return Ok(()),
            removed => removed?,
        },
        (Some(_), _) => fs::remove_file(path)?,
    }
    match node {
        None | Some(Node::Other) => Ok(()),
        Some(Node::Link { target }) => symlink(target, path),
        Some(Node::File { mode, content }) => {
            fs::write(path, content)?;
            fs::set_permissions(path, fs::Permissions::from_mode(*mode))
        }
        Some(Node::Folder { mode }) => {
            if now.is_none_or(|now| !matches!(now, Node::Folder { .. })) {
                fs::create_dir(path)?;
            }
            fs::set_permissions(path, fs::Permissions::from_mode(*mode))
        }
    }
}

/// How two trees differ, a line for each path; empty when they do not.
pub(super) fn differences(fresh: &Tree, cached: &Tree) -> String {
    let mut text = String::new();
    let paths: std::collections::BTreeSet<&PathBuf> = fresh.keys().chain(cached.keys()).collect();
    for path in paths {
        let (fresh, cached) = (fresh.get(path), cached.get(path));
        if fresh != cached {
            // Writing to a string can't fail.
            let _ = writeln!(
                text,
                "{}: fresh {}, cached {}",
                path.display(),
                described(fresh),
                described(cached)
            );
        }
    }
    text
}

fn described(node: Option<&Node>) -> String {
    match node {
        None => "nothing".to_owned(),
        Some(Node::File { mode, content }) => {
            let shown = String::from_utf8_lossy(&content[..content.len().min(60)]).into_owned();
            format!("file {mode:o} {shown:?}")
        }
        Some(Node::Folder { mode }) => format!("folder {mode:o}"),
        Some(Node::Link { target }) => format!("link to {}", target.display()),
        Some(Node::Other) => "special".to_owned(),
    }
}
