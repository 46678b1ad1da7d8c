//! Whether a program for macOS will load a library that it is asked to, told from the bytes of its file before it starts.
//!
//! Pure: nothing here asks the system, so that it is tested on all of them. Any bytes give an answer. dyld leaves
//! `DYLD_INSERT_LIBRARIES` out of account where the kernel or the signature says so (dyld(1), "Hardened Runtime" of Apple's
//! developer documentation, and `amfi_check_dyld_policy_self` of dyld's sources).

use std::fmt;

/// Why what a program does may go unseen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It lies where the system protects its own programs.
    SystemPath,
    /// It gives privileges: setuid or setgid.
    Privileges,
    /// It is signed for the hardened runtime, without an entitlement that allows dyld's variables.
    HardenedRuntime,
    /// Its signature says that it is restricted.
    Restricted,
    /// Its signature wants libraries signed by the same team.
    LibraryValidation,
    /// It has a section `__RESTRICT,__restrict`.
    RestrictSegment,
    /// It has no code for a processor that the library has code for.
    OtherProcessor,
    /// It is not loaded by dyld.
    NoLoader,
    /// It is written in Go and calls nothing of libSystem's that opens files.
    Go,
    /// It makes system calls without libSystem.
    BareSystemCalls,
    /// It is no program that is known here.
    Unknown,
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::SystemPath => "a program of the system, which loads no library of others",
            Self::Privileges => "a program that gives privileges, which loads no library of others",
            Self::HardenedRuntime => "signed for the hardened runtime, so that it loads no library of others",
            Self::Restricted => "signed as restricted, so that it loads no library of others",
            Self::LibraryValidation => "signed so that it loads libraries of its own team only",
            Self::RestrictSegment => "marked as restricted, so that it loads no library of others",
            Self::OtherProcessor => "made for a processor that the library is not made for",
            Self::NoLoader => "a static program, which loads no library",
            Self::Go => "a Go program that opens files without libSystem",
            Self::BareSystemCalls => "a program that may make system calls without libSystem",
            Self::Unknown => "not a program that is known to load libraries",
        })
    }
}

/// What is to be expected of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It loads the library, and what it does goes through libSystem as far as can be told.
    Loads,
    /// It will not load the library.
    Drops(Reason),
    /// It will, but may do something past it.
    Unsure(Reason),
}

/// What a file is, as far as the kernel looks when it is executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program<'f> {
    /// A Mach-O file.
    Binary(Verdict),
    /// A script, with the interpreter that it names.
    Script(&'f [u8]),
}

/// Whether a path lies where System Integrity Protection holds, so that programs there load no library of others.
#[must_use]
pub fn is_protected(path: &[u8]) -> bool {
    let below = |folder: &[u8]| path.strip_prefix(folder).is_some_and(|rest| rest.first() == Some(&b'/'));
    (below(b"/System") || below(b"/bin") || below(b"/sbin") || below(b"/usr") || below(b"/Library/Apple"))
        && !below(b"/usr/local")
}

/// What is to be expected of a file with these bytes.
#[must_use]
pub fn examine(file: &[u8]) -> Program<'_> {
    if let Some(line) = file.strip_prefix(b"#!") {
        let line = line.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let mut words = line.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty());
        return match words.next() {
            Some(interpreter) => Program::Script(interpreter),
            None => Program::Binary(Verdict::Drops(Reason::Unknown)),
        };
    }
    let verdict = match slices(file) {
        Some(slices) => {
            let is_plain = |slice: &&[u8]| slice.little(4) == Some(ARM64) && !is_arm64e(slice);
            let has_plain = slices.iter().any(is_plain);
            // Where there is a choice, the kernel takes arm64e for the system's own programs only.
            let counts = |slice: &&[u8]| !(has_plain && is_arm64e(slice));
            let verdicts: Vec<Verdict> =
                slices.into_iter().filter(counts).filter_map(examine_slice).collect();
            // Which one the kernel takes depends on the machine, and on how the program was started.
            let worst = |is: fn(&Verdict) -> bool| verdicts.iter().copied().find(is);
            worst(|verdict| matches!(verdict, Verdict::Drops(_)))
                .or_else(|| worst(|verdict| matches!(verdict, Verdict::Unsure(_))))
                .or_else(|| verdicts.first().copied())
                .unwrap_or(Verdict::Drops(Reason::OtherProcessor))
        }
        None => Verdict::Drops(Reason::Unknown),
    };
    Program::Binary(verdict)
}

const FAT: u32 = 0xcafe_babe;
const FAT_64: u32 = 0xcafe_babf;
const MACHO_64: u32 = 0xfeed_facf;
const ARM64: u32 = 0x0100_000c;
const X86_64: u32 = 0x0100_0007;

/// Numbers of either order at a place in bytes.
trait Fields {
    fn big(&self, at: usize) -> Option<u32>;
    fn little(&self, at: usize) -> Option<u32>;
    fn part(&self, at: usize, length: usize) -> Option<&[u8]>;
}

impl Fields for [u8] {
    fn big(&self, at: usize) -> Option<u32> {
        self.get(at..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
    }

    fn little(&self, at: usize) -> Option<u32> {
        self.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
    }

    fn part(&self, at: usize, length: usize) -> Option<&[u8]> {
        self.get(at..at.checked_add(length)?)
    }
}

/// The Mach-O files of which a file consists (mach-o/fat.h); `None` if it is none.
fn slices(file: &[u8]) -> Option<Vec<&[u8]>> {
    /// More has none: it is a Java class, whose files begin with the same bytes.
    const MOST: u32 = 32;
    let wide = match file.big(0)? {
        FAT => false,
        FAT_64 => true,
        _ if file.little(0)? == MACHO_64 => return Some(vec![file]),
        _ => return None,
    };
    let count = file.big(4).filter(|count| *count <= MOST)? as usize;
    let slice = |index: usize| {
        let (offset, length) = if wide {
            let entry = file.part(8 + 32 * index, 32)?;
            // What lies beyond 4 GiB is nothing that runs.
            (entry.big(12)?, entry.big(20)?)
        } else {
            let entry = file.part(8 + 20 * index, 20)?;
            (entry.big(8)?, entry.big(12)?)
        };
        file.part(offset as usize, length as usize)
    };
    (0..count).map(slice).collect()
}

/// Whether code is for pointer authentication, which the library has none of.
fn is_arm64e(file: &[u8]) -> bool {
    const ARM64E: u32 = 2;
    file.little(4) == Some(ARM64) && file.little(8).is_some_and(|kind| kind & 0xff == ARM64E)
}

/// `None` if it is for a processor on which nothing is traced.
fn examine_slice(file: &[u8]) -> Option<Verdict> {
    let processor = file.little(4)?;
    if file.little(0)? != MACHO_64 || !matches!(processor, ARM64 | X86_64) {
        return None;
    }
    if is_arm64e(file) {
        return Some(Verdict::Drops(Reason::OtherProcessor));
    }
    // What can't be read to its end can't be judged.
    Some(Image::read(file).map_or(Verdict::Drops(Reason::Unknown), |image| image.judge(processor)))
}

/// What of a Mach-O file counts.
#[derive(Default)]
struct Image<'f> {
    text: &'f [u8],
    strings: &'f [u8],
    has_loader: bool,
    is_go: bool,
    is_restricted: bool,
    flags: u32,
    entitlements: &'f [u8],
}

impl<'f> Image<'f> {
    /// mach-o/loader.h.
    fn read(file: &'f [u8]) -> Option<Self> {
        const LC_SYMTAB: u32 = 2;
        const LC_LOAD_DYLINKER: u32 = 0xe;
        const LC_SEGMENT_64: u32 = 0x19;
        const LC_CODE_SIGNATURE: u32 = 0x1d;
        const HEADER: usize = 32;
        let mut image = Self::default();
        let mut commands = file.part(HEADER, file.little(20)? as usize)?;
        for _ in 0..file.little(16)? {
            let length = commands.little(4)? as usize;
            let (command, rest) = commands.split_at_checked(length).filter(|_| length >= 8)?;
            commands = rest;
            match command.little(0)? {
                LC_LOAD_DYLINKER => image.has_loader = true,
                LC_SEGMENT_64 => image.segment(file, command)?,
                LC_SYMTAB => {
                    image.strings = file.part(command.little(16)? as usize, command.little(20)? as usize)?;
                }
                LC_CODE_SIGNATURE => {
                    image.signature(file.part(command.little(8)? as usize, command.little(12)? as usize)?)?;
                }
                _ => {}
            }
        }
        Some(image)
    }

    fn segment(&mut self, file: &'f [u8], command: &'f [u8]) -> Option<()> {
        const HEAD: usize = 72;
        const SECTION: usize = 80;
        for index in 0..command.little(64)? as usize {
            let section = command.part(index.checked_mul(SECTION)?.checked_add(HEAD)?, SECTION)?;
            let name = |at: usize| section.part(at, 16)?.split(|&byte| byte == 0).next();
            match (name(16)?, name(0)?) {
                (b"__RESTRICT", b"__restrict") => self.is_restricted = true,
                (_, b"__gopclntab" | b"__go_buildinfo") => self.is_go = true,
                (b"__TEXT", b"__text") => {
                    self.text = file.part(section.little(48)? as usize, section.little(40)? as usize)?;
                }
                _ => {}
            }
        }
        Some(())
    }

    /// An embedded signature (kern/cs_blobs.h of XNU), whose numbers are big-endian.
    fn signature(&mut self, signature: &'f [u8]) -> Option<()> {
        const SUPER_BLOB: u32 = 0xfade_0cc0;
        const CODE_DIRECTORY: u32 = 0xfade_0c02;
        const ENTITLEMENTS: u32 = 0xfade_7171;
        if signature.big(0)? != SUPER_BLOB {
            return None;
        }
        for index in 0..signature.big(8)? as usize {
            let at = signature.big(index.checked_mul(8)?.checked_add(16)?)? as usize;
            let blob = signature.part(at, signature.big(at.checked_add(4)?)? as usize)?;
            match blob.big(0)? {
                // There may be several, by different hashes, of which the kernel takes one.
                CODE_DIRECTORY => self.flags |= blob.big(12)?,
                ENTITLEMENTS => self.entitlements = blob.get(8..)?,
                _ => {}
            }
        }
        Some(())
    }

    fn is_entitled(&self, to: &str) -> bool {
        let key = format!("<key>{to}</key>");
        let mut rest = self.entitlements;
        while let Some(at) = memchr::memmem::find(rest, key.as_bytes()) {
            rest = &rest[at + key.len()..];
            if rest.trim_ascii_start().starts_with(b"<true") {
                return true;
            }
        }
        false
    }

    fn judge(&self, processor: u32) -> Verdict {
        const CS_RESTRICT: u32 = 0x800;
        const CS_REQUIRE_LV: u32 = 0x2000;
        const CS_RUNTIME: u32 = 0x1_0000;
        let allows_variables = || self.is_entitled("com.apple.security.cs.allow-dyld-environment-variables");
        // The hardened runtime validates libraries as well.
        let allows_libraries = || self.is_entitled("com.apple.security.cs.disable-library-validation");
        if !self.has_loader {
            Verdict::Drops(Reason::NoLoader)
        } else if self.is_restricted {
            Verdict::Drops(Reason::RestrictSegment)
        } else if self.flags & CS_RESTRICT != 0 {
            Verdict::Drops(Reason::Restricted)
        } else if self.flags & CS_RUNTIME != 0 && !allows_variables() {
            Verdict::Drops(Reason::HardenedRuntime)
        } else if self.flags & (CS_RUNTIME | CS_REQUIRE_LV) != 0 && !allows_libraries() {
            Verdict::Drops(Reason::LibraryValidation)
        } else if self.is_go && !self.imports_opening() {
            Verdict::Unsure(Reason::Go)
        } else if makes_system_calls(self.text, processor) {
            Verdict::Unsure(Reason::BareSystemCalls)
        } else {
            Verdict::Loads
        }
    }

    /// Whether a function that opens files is asked for by name. Since version 1.12 Go's runtime does so.
    fn imports_opening(&self) -> bool {
        self.strings.split(|&byte| byte == 0).any(|name| matches!(name, b"_open" | b"_openat"))
    }
}

/// Whether code holds an instruction by which it enters the kernel by itself.
fn makes_system_calls(text: &[u8], processor: u32) -> bool {
    /// `svc #0x80`
    const ENTERS: u32 = 0xd400_1001;
    /// What loads the number of `exit` for it, in two forms: `mov x16, #1` and, in Go's runtime, `orr x16, xzr, #1`.
    const EXITS: [u32; 2] = [0xd280_0030, 0xb240_03f0];
    if processor == ARM64 {
        let (words, _) = text.as_chunks();
        let mut before = 0;
        return words.iter().any(|word| {
            let word = u32::from_le_bytes(*word);
            let enters = word == ENTERS && !EXITS.contains(&before);
            before = word;
            enters
        });
    }
    /// How far before the instruction its number is looked for.
    const NEAR: usize = 16;
    // `syscall`: two bytes, which other instructions hold by chance. By intent, `mov %rcx, %r10` comes right before it, or a
    // number of the class of Unix, 0x2000000 and more, is loaded.
    memchr::memmem::find_iter(text, b"\x0f\x05").any(|at| {
        let before = &text[at.saturating_sub(NEAR)..at];
        let is_number = |bytes: &[u8]| matches!(bytes, [_, 0..=3, 0, 2]);
        before.ends_with(b"\x49\x89\xca") || before.windows(4).any(is_number)
    })
}

#[cfg(test)]
mod tests;
