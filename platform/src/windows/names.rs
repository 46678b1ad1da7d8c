//! Paths as tracerun writes them, `/C:/a/b` and `/UNC/server/share`, and as Windows has them.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::os::windows::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// The bytes of a name: WTF-8, in which Rust keeps it.
pub(crate) fn bytes_of(name: &OsStr) -> &[u8] {
    name.as_encoded_bytes()
}

/// The name with these bytes.
pub(crate) fn name_of(bytes: &[u8]) -> OsString {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => OsString::from_wide(&units(bytes)),
    }
}

/// UTF-16 from WTF-8: UTF-8 in which a surrogate without the other is three bytes as well.
fn units(bytes: &[u8]) -> Vec<u16> {
    let mut units = Vec::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        units.extend(chunk.valid().encode_utf16());
        // The three bytes of a surrogate are three invalid chunks of one byte each.
        units.extend(chunk.invalid().iter().map(|&byte| 0xdc00 | u16::from(byte)));
    }
    let mut whole = Vec::with_capacity(units.len());
    let mut rest = &units[..];
    while let Some((&first, behind)) = rest.split_first() {
        match (first, behind) {
            (0xdced, &[second, third, ..]) if second >> 8 == 0xdc && third >> 8 == 0xdc => {
                whole.push(0xd000 | (second & 0x3f) << 6 | third & 0x3f);
                rest = &behind[2..];
            }
            _ => {
                whole.push(first);
                rest = behind;
            }
        }
    }
    whole
}

/// A path as tracerun writes it.
pub(crate) fn bytes_of_path(path: &Path) -> Cow<'_, [u8]> {
    let bytes: Vec<u8> =
        bytes_of(path.as_os_str()).iter().map(|&byte| if byte == b'\\' { b'/' } else { byte }).collect();
    let plain = bytes.strip_prefix(b"//?/").unwrap_or(&bytes);
    let mut path = Vec::with_capacity(plain.len() + 4);
    if let Some(unc) =
        bytes.strip_prefix(b"//?/UNC/").or_else(|| bytes.strip_prefix(b"//").filter(|_| plain == bytes))
    {
        path.extend_from_slice(b"/UNC/");
        path.extend_from_slice(unc);
    } else if let [letter, b':', rest @ ..] = plain {
        path.extend_from_slice(&[b'/', letter.to_ascii_uppercase(), b':']);
        path.extend_from_slice(rest);
    } else {
        path.extend_from_slice(plain);
    }
    if path.len() > 1 && path.ends_with(b"/") {
        path.pop();
    }
    Cow::Owned(path)
}

/// The path for Windows with these bytes.
pub(crate) fn path_of(bytes: &[u8]) -> PathBuf {
    let turned = |bytes: &[u8]| -> Vec<u8> {
        bytes.iter().map(|&byte| if byte == b'/' { b'\\' } else { byte }).collect()
    };
    let path = match bytes {
        [b'/', letter, b':'] => vec![*letter, b':', b'\\'],
        [b'/', _, b':', b'/', ..] => turned(&bytes[1..]),
        _ => match bytes.strip_prefix(b"/UNC/") {
            Some(rest) => [b"\\\\".to_vec(), turned(rest)].concat(),
            None => turned(bytes),
        },
    };
    name_of(&path).into()
}

/// The names of volumes, as the kernel has them, by their letters.
pub(super) type Volumes = Vec<(Vec<u8>, u8)>;

/// What a name of the kernel's, its backslashes turned, is to tracerun.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// A file.
    File(Vec<u8>),
    /// No file: a pipe, a console, a device.
    Nothing,
    /// Perhaps a file.
    Unknown,
}

pub(super) fn known(raw: &[u8], volumes: &Volumes, windows: &[u8]) -> Known {
    const ROOTS: [&[u8]; 3] = [b"/??/", b"/DosDevices/", b"/GLOBAL??/"];
    let starts = |path: &[u8], with: &[u8]| {
        path.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with))
    };
    let rest = ROOTS.iter().find(|root| starts(raw, root)).map_or(raw, |root| &raw[root.len() - 1..]);
    let is_root = rest.len() != raw.len();
    match rest {
        [b'/', letter, b':'] if letter.is_ascii_alphabetic() => file(*letter, b"/"),
        [b'/', letter, b':', path @ ..] if letter.is_ascii_alphabetic() && path[0] == b'/' => {
            file(*letter, path)
        }
        _ if starts(rest, b"/UNC/") => Known::File([b"/UNC/", &rest[5..]].concat()),
        _ if starts(raw, b"/SystemRoot") => Known::File([windows, &raw[b"/SystemRoot".len()..]].concat()),
        _ if is_root && !starts(rest, b"/Volume{") => Known::Nothing,
        _ if starts(raw, b"/Device/Mup/") => Known::File([b"/UNC/", &raw[b"/Device/Mup/".len()..]].concat()),
        _ if starts(raw, b"/Device/") => {
            let of = |(device, letter): &(Vec<u8>, u8)| {
                let path = raw.get(device.len()..).filter(|_| starts(raw, device))?;
                (path.is_empty() || path[0] == b'/').then(|| file(*letter, path))
            };
            let is_disk = starts(raw, b"/Device/Harddisk") || starts(raw, b"/Device/CdRom");
            let other = if is_disk { Known::Unknown } else { Known::Nothing };
            volumes.iter().find_map(of).unwrap_or(other)
        }
        _ => Known::Unknown,
    }
}

/// A path on a drive, without the name of a stream.
fn file(letter: u8, path: &[u8]) -> Known {
    let last = path.iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
    let end = path[last..].iter().position(|&byte| byte == b':').map_or(path.len(), |colon| last + colon);
    Known::File([&[b'/', letter.to_ascii_uppercase(), b':'], &path[..end]].concat())
}

/// The arguments of a command line, each followed by a NUL, as `CommandLineToArgvW` parts them.
pub(super) fn arguments(line: &[u8]) -> Vec<u8> {
    let mut arguments = Vec::with_capacity(line.len() + 1);
    let (mut quoted, mut begun, mut backslashes) = (false, false, 0);
    for &byte in line {
        match byte {
            b'\\' => {
                backslashes += 1;
                begun = true;
                continue;
            }
            b'"' => {
                arguments.extend(std::iter::repeat_n(b'\\', backslashes / 2));
                if backslashes % 2 == 1 {
                    arguments.push(b'"');
                } else {
                    quoted = !quoted;
                }
                begun = true;
            }
            _ => {
                arguments.extend(std::iter::repeat_n(b'\\', backslashes));
                if !quoted && matches!(byte, b' ' | b'\t' | 0) {
                    if begun {
                        arguments.push(0);
                    }
                    begun = false;
                } else {
                    arguments.push(byte);
                    begun = true;
                }
            }
        }
        backslashes = 0;
    }
    arguments.extend(std::iter::repeat_n(b'\\', backslashes));
    if begun {
        arguments.push(0);
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_come_back() {
        for (windows, own) in [
            (r"C:\a\b", "/C:/a/b"),
            (r"C:\", "/C:"),
            (r"\\server\share\a", "/UNC/server/share/a"),
            (r"a\b", "a/b"),
        ] {
            assert_eq!(bytes_of_path(Path::new(windows)), own.as_bytes());
            assert_eq!(path_of(own.as_bytes()), Path::new(windows));
        }
        assert_eq!(*bytes_of_path(Path::new(r"\\?\c:\a")), *b"/C:/a");
        assert_eq!(*bytes_of_path(Path::new(r"\\?\UNC\s\x\a")), *b"/UNC/s/x/a");
    }

    #[test]
    fn names_that_are_no_text_come_back() {
        let name = OsString::from_wide(&[0x61, 0xd800, 0x62, 0xd83d, 0xde00, 0xdfff]);
        assert_eq!(name_of(bytes_of(&name)), name);
    }

    #[test]
    fn names_of_the_kernel_are_files_or_not() {
        let volumes = vec![(b"/Device/HarddiskVolume3".to_vec(), b'c')];
        let known = |raw: &str| known(raw.as_bytes(), &volumes, b"/C:/Windows");
        let file = |path: &str| Known::File(path.into());
        assert_eq!(known("/??/c:/a/B.txt"), file("/C:/a/B.txt"));
        assert_eq!(known("/??/C:/a.txt:stream:$DATA"), file("/C:/a.txt"));
        assert_eq!(known("/??/C:"), file("/C:/"));
        assert_eq!(known("/C:/a"), file("/C:/a"));
        assert_eq!(known("/Device/HarddiskVolume3/a"), file("/C:/a"));
        assert_eq!(known("/Device/HarddiskVolume31/a"), Known::Unknown);
        assert_eq!(known("/??/UNC/s/x/a"), file("/UNC/s/x/a"));
        assert_eq!(known("/SystemRoot/system32"), file("/C:/Windows/system32"));
        assert_eq!(known("/??/pipe/x"), Known::Nothing);
        assert_eq!(known("/Device/Afd/Endpoint"), Known::Nothing);
        assert_eq!(known("/??/Volume{0}/a"), Known::Unknown);
    }

    #[test]
    fn command_lines_are_parted_as_programs_do() {
        let parted = |line: &str| String::from_utf8(arguments(line.as_bytes())).expect("text");
        assert_eq!(
            parted(r#""C:\a b\c.exe" x  "y z" \"q\" a\\b "e\\""#),
            "C:\\a b\\c.exe\0x\0y z\0\"q\"\0a\\\\b\0e\\\0"
        );
        assert_eq!(parted(r#"a """#), "a\0\0");
    }
}
