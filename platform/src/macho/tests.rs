use super::*;

/// A program for macOS as its makers give it out (`scripts/setup`): esbuild is written in Go, Node is signed for the hardened
/// runtime, Ninja is for both processors. `None` where they are not there.
fn program(name: &str) -> Option<Vec<u8>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/fixtures/macos/programs");
    let found = std::fs::read(format!("{folder}/{name}")).ok();
    assert!(
        found.is_some() || std::env::var_os("TRACERUN_REQUIRE_ALL").is_none(),
        "no {name}: run scripts/setup"
    );
    if found.is_none() {
        eprintln!("{name} is missing: scripts/setup fetches it");
    }
    found
}

fn verdict(file: &[u8]) -> Verdict {
    match examine(file) {
        Program::Binary(verdict) => verdict,
        Program::Script(interpreter) => panic!("a script for {}", interpreter.escape_ascii()),
    }
}

/// Writes `new` over every `old` of the same length.
fn replaced(file: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    assert_eq!(old.len(), new.len());
    let mut file = file.to_vec();
    let places: Vec<usize> = memchr::memmem::find_iter(&file, old).collect();
    assert!(!places.is_empty(), "{} is not there", old.escape_ascii());
    for place in places {
        file[place..place + old.len()].copy_from_slice(new);
    }
    file
}

#[test]
fn node_loads_libraries_because_its_entitlements_say_so() {
    let Some(node) = program("node") else { return };
    assert_eq!(verdict(&node), Verdict::Loads);
    let without = |name: &str| replaced(&node, name.as_bytes(), name.to_uppercase().as_bytes());
    assert_eq!(
        verdict(&without("com.apple.security.cs.allow-dyld-environment-variables")),
        Verdict::Drops(Reason::HardenedRuntime)
    );
    assert_eq!(
        verdict(&without("com.apple.security.cs.disable-library-validation")),
        Verdict::Drops(Reason::LibraryValidation)
    );
}

#[test]
fn a_go_program_that_opens_by_libsystem_is_watched_and_another_is_not() {
    let Some(esbuild) = program("esbuild") else { return };
    assert_eq!(verdict(&esbuild), Verdict::Loads);
    let other = replaced(&esbuild, b"\0_open\0", b"\0_0pen\0");
    assert_eq!(verdict(&other), Verdict::Unsure(Reason::Go));
}

#[test]
fn the_worst_of_two_processors_counts() {
    let Some(ninja) = program("ninja") else { return };
    assert_eq!(verdict(&ninja), Verdict::Loads);
    let slices = slices(&ninja).expect("two");
    assert_eq!(slices.len(), 2);
    for slice in slices {
        assert_eq!(verdict(slice), Verdict::Loads);
        let at = slice.as_ptr() as usize - ninja.as_ptr() as usize;
        // The number of the command by which dyld is named.
        let mut without_loader = ninja.clone();
        let command =
            memchr::memmem::find(slice, b"\x0e\0\0\0\x20\0\0\0\x0c\0\0\0/usr/lib/dyld").expect("there");
        without_loader[at + command] = 0xf;
        assert_eq!(verdict(&without_loader), Verdict::Drops(Reason::NoLoader));
    }
}

#[test]
fn a_call_of_the_kernel_in_the_code_is_found() {
    let Some(ninja) = program("ninja") else { return };
    for slice in slices(&ninja).expect("two") {
        let processor = slice.little(4).expect("a header");
        let text = Image::read(slice).expect("whole").text;
        let (call, bytes): (usize, &[u8]) = match processor {
            ARM64 => (text.len() / 8 * 4, b"\x01\x10\x00\xd4"),
            _ => (text.len() / 2, b"\xb8\x05\0\0\x02\x49\x89\xca\x0f\x05"),
        };
        let mut other = slice.to_vec();
        let at = text.as_ptr() as usize - slice.as_ptr() as usize + call;
        other[at..at + bytes.len()].copy_from_slice(bytes);
        assert_eq!(verdict(&other), Verdict::Unsure(Reason::BareSystemCalls));
    }
    // By chance.
    assert!(!makes_system_calls(b"\x48\x8d\x3d\x0f\x05\x00\x00\x48", X86_64));
}

/// A Mach-O file of load commands, behind which lies `rest`.
fn macho(processor: u32, kind: u32, commands: &[&[u8]], rest: &[u8]) -> Vec<u8> {
    let length: usize = commands.iter().map(|command| command.len()).sum();
    let head = [MACHO_64, processor, kind, 2, commands.len() as u32, length as u32, 0, 0];
    let head: Vec<u8> = head.into_iter().flat_map(u32::to_le_bytes).collect();
    [&head[..], &commands.concat(), rest].concat()
}

const LOADER: &[u8] = b"\x0e\0\0\0\x20\0\0\0\x0c\0\0\0/usr/lib/dyld\0\0\0\0\0\0\0";

#[test]
fn a_restricted_segment_and_restricted_signatures_are_found() {
    assert_eq!(verdict(&macho(ARM64, 0, &[LOADER], b"")), Verdict::Loads);
    assert_eq!(verdict(&macho(ARM64, 2, &[LOADER], b"")), Verdict::Drops(Reason::OtherProcessor));
    assert_eq!(verdict(&macho(7, 0, &[LOADER], b"")), Verdict::Drops(Reason::OtherProcessor));

    let mut segment = vec![0; 72 + 80];
    segment[..8].copy_from_slice(b"\x19\0\0\0\x98\0\0\0");
    segment[64] = 1;
    segment[72..82].copy_from_slice(b"__restrict");
    segment[88..98].copy_from_slice(b"__RESTRICT");
    assert_eq!(verdict(&macho(X86_64, 3, &[LOADER, &segment], b"")), Verdict::Drops(Reason::RestrictSegment));

    for (flags, wanted) in [
        (0x2, Verdict::Loads),
        (0x800, Verdict::Drops(Reason::Restricted)),
        (0x2000, Verdict::Drops(Reason::LibraryValidation)),
        (0x1_0000, Verdict::Drops(Reason::HardenedRuntime)),
    ] {
        let signature: Vec<u8> = [0xfade_0cc0, 36, 1, 0, 20, 0xfade_0c02, 16, 0x2_0400, flags]
            .into_iter()
            .flat_map(u32::to_be_bytes)
            .collect();
        let at = 32 + LOADER.len() as u32 + 16;
        let command: Vec<u8> =
            [0x1d, 16, at, signature.len() as u32].into_iter().flat_map(u32::to_le_bytes).collect();
        assert_eq!(verdict(&macho(ARM64, 0, &[LOADER, &command], &signature)), wanted, "{flags:#x}");
    }
}

#[test]
fn what_is_cut_short_is_not_trusted_and_no_bytes_do_harm() {
    let Some(ninja) = program("ninja") else { return };
    let slice = slices(&ninja).expect("two")[1];
    let whole = Image::read(slice).expect("whole");
    let end = whole.text.as_ptr() as usize - slice.as_ptr() as usize;
    for length in (0..end).step_by(7) {
        assert!(!matches!(verdict(&slice[..length]), Verdict::Loads), "{length} bytes");
    }
    let mut state = 1_u64;
    let mut file = slice[..end.min(8192)].to_vec();
    for _ in 0..20_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let place = (state >> 33) as usize % file.len();
        file[place] = (state >> 24) as u8;
        let _ = examine(&file);
    }
}

#[test]
fn scripts_name_their_interpreter() {
    assert_eq!(examine(b"#! /usr/bin/env node\nx"), Program::Script(b"/usr/bin/env"));
    assert_eq!(examine(b"#!/opt/sh"), Program::Script(b"/opt/sh"));
    assert_eq!(verdict(b"#!\n"), Verdict::Drops(Reason::Unknown));
    assert_eq!(verdict(b"echo hello\n"), Verdict::Drops(Reason::Unknown));
    assert_eq!(verdict(b"\xca\xfe\xba\xbe\0\0\0\x34"), Verdict::Drops(Reason::Unknown));
}

#[test]
fn system_paths_are_protected_but_for_local_ones() {
    for path in ["/bin/sh", "/usr/bin/env", "/System/Library/x", "/sbin/mount"] {
        assert!(is_protected(path.as_bytes()), "{path}");
    }
    for path in ["/usr/local/bin/node", "/opt/homebrew/bin/node", "/binary", "/Users/a/bin/sh"] {
        assert!(!is_protected(path.as_bytes()), "{path}");
    }
}
