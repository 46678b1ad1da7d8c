//! The files that the kernel opens by itself to execute another.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The files that the kernel will open by itself to execute the file at `path`: the interpreter that a script
/// names, then that one's interpreter and so on, and the program interpreter of the binary at the end. `locate` makes an
/// absolute path of such a name.
pub(super) fn of(path: &[u8], locate: &mut dyn FnMut(&[u8]) -> Vec<u8>) -> Vec<Vec<u8>> {
    /// `BINPRM_MAX_RECURSION` in fs/exec.c.
    const MOST: usize = 5;
    let mut found: Vec<Vec<u8>> = Vec::new();
    let mut file = path.to_vec();
    while found.len() < MOST {
        let Some(next) = interpreter(Path::new(OsStr::from_bytes(&file))) else {
            break;
        };
        file = locate(&next);
        found.push(file.clone());
    }
    found
}

fn interpreter(path: &Path) -> Option<Vec<u8>> {
    use std::os::unix::fs::FileExt;
    let file = std::fs::File::options().read(true).open(path).ok()?;
    let mut head = [0_u8; 4096];
    let count = file.read_at(&mut head, 0).ok()?;
    let head = &head[..count];
    if let Some(line) = head.strip_prefix(b"#!") {
        let line = line.split(|&byte| byte == b'\n').next()?;
        let mut words = line.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty());
        return words.next().map(<[u8]>::to_vec);
    }
    let (offset, length) = elf_interpreter(head)?;
    let mut name = vec![0; length];
    file.read_exact_at(&mut name, offset).ok()?;
    while name.last() == Some(&0) {
        name.pop();
    }
    Some(name)
}

/// Where the name of the program interpreter (`PT_INTERP`) of a little-endian ELF file lies, elf(5).
fn elf_interpreter(head: &[u8]) -> Option<(u64, usize)> {
    const PT_INTERP: u64 = 3;
    let field = |at: usize, size: usize| -> Option<u64> {
        let mut bytes = [0; 8];
        bytes[..size].copy_from_slice(head.get(at..at + size)?);
        Some(u64::from_le_bytes(bytes))
    };
    let wide = match head.get(..6)? {
        [0x7f, b'E', b'L', b'F', 2, 1] => true,
        [0x7f, b'E', b'L', b'F', 1, 1] => false,
        _ => return None,
    };
    let (table, entry, count) = if wide {
        (field(32, 8)?, field(54, 2)?, field(56, 2)?)
    } else {
        (field(28, 4)?, field(42, 2)?, field(44, 2)?)
    };
    (0..count).find_map(|index| {
        let header = usize::try_from(table.checked_add(index * entry)?).ok()?;
        if field(header, 4)? != PT_INTERP {
            return None;
        }
        let (offset, length) = if wide {
            (field(header + 8, 8)?, field(header + 32, 8)?)
        } else {
            (field(header + 4, 4)?, field(header + 16, 4)?)
        };
        Some((offset, usize::try_from(length).ok().filter(|length| *length <= 4096)?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_and_binaries_name_their_interpreters() {
        let folder = tempfile::tempdir().expect("a folder");
        let inner = folder.path().join("inner");
        let outer = folder.path().join("outer");
        std::fs::write(&inner, "#! /bin/sh -e\n").expect("a script");
        std::fs::write(&outer, format!("#!{}\n", inner.display())).expect("a script");
        let found = of(outer.as_os_str().as_bytes(), &mut <[u8]>::to_vec);
        assert_eq!(found[0], inner.as_os_str().as_bytes());
        assert_eq!(found[1], b"/bin/sh");
        assert!(found[2].starts_with(b"/lib"), "{:?}", String::from_utf8_lossy(&found[2]));
        assert_eq!(found.len(), 3);
    }
}
