//! The seccomp filter: a decision tree over system call numbers, generated from the table of watched calls.

use libc::{
    BPF_ABS, BPF_JEQ, BPF_JGE, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W, SECCOMP_RET_ALLOW,
    SECCOMP_RET_USER_NOTIF, sock_filter,
};
use shm_protocol::calls::{Call, Meaning};

/// `AUDIT_ARCH_*` of the system calls that the table describes (linux/audit.h).
#[cfg(target_arch = "x86_64")]
pub(super) const NATIVE_ARCH: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
pub(super) const NATIVE_ARCH: u32 = 0xc000_00b7;

/// From here on x86-64 numbers are of the x32 ABI (`__X32_SYSCALL_BIT`); no other ABI numbers calls so high.
const X32: u32 = 0x4000_0000;

/// Offsets in `struct seccomp_data` (linux/seccomp.h), whose words are little-endian on both architectures.
mod offset {
    pub(super) const NUMBER: u32 = 0;
    pub(super) const ARCH: u32 = 4;

    pub(super) const fn argument(index: u32) -> u32 {
        16 + 8 * index
    }
}

macro_rules! numbers {
    ($($(#[$where:meta])* $name:ident $number:ident ($($argument:ident),*) = $meaning:expr;)*) => {
        &[$($(#[$where])* (linux_raw_sys::general::$number, Call::$name),)*]
    };
}

/// Every watched call of this architecture, with its number.
const WATCHED: &[(u32, Call)] = shm_protocol::watched_calls!(numbers);

/// The watched call with this number.
pub(super) fn watched(number: i32) -> Option<Call> {
    WATCHED.iter().find(|(known, _)| i64::from(*known) == i64::from(number)).map(|(_, call)| *call)
}

/// What the filter does with a watched call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// Let it through if it carries the pass, else notify.
    UnlessPassed,
    /// The same, but only for descriptor 0.
    StdinUnlessPassed,
}

/// Builds the filter: watched calls without `cookie` in their sixth argument, and all calls of a foreign ABI,
/// notify the supervisor; everything else is allowed. Reads of descriptor 0 are watched if `watch_stdin`.
pub(super) fn build(cookie: u64, watch_stdin: bool) -> Vec<sock_filter> {
    let mut leaves: Vec<(u32, Verdict)> = WATCHED
        .iter()
        .filter_map(|&(number, call)| match call.meaning([0; 6]) {
            Meaning::ReadDescriptor(_) => watch_stdin.then_some((number, Verdict::StdinUnlessPassed)),
            _ => Some((number, Verdict::UnlessPassed)),
        })
        .collect();
    leaves.sort_unstable_by_key(|(number, _)| *number);

    let mut program = Assembler::default();
    program.load(offset::ARCH);
    program.jump(BPF_JEQ, NATIVE_ARCH, Label::Next, Label::Notify);
    program.load(offset::NUMBER);
    program.jump(BPF_JGE, X32, Label::Notify, Label::Next);
    program.tree(&leaves);

    program.mark(Label::Stdin);
    program.load(offset::argument(0));
    program.jump(BPF_JEQ, 0, Label::Pass, Label::Allow);

    program.mark(Label::Pass);
    program.load(offset::argument(5));
    program.jump(BPF_JEQ, cookie as u32, Label::Next, Label::Notify);
    program.load(offset::argument(5) + 4);
    program.jump(BPF_JEQ, (cookie >> 32) as u32, Label::Allow, Label::Notify);

    program.mark(Label::Allow);
    program.answer(SECCOMP_RET_ALLOW);
    program.mark(Label::Notify);
    program.answer(SECCOMP_RET_USER_NOTIF);
    program.link()
}

/// Where a jump goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Label {
    /// The instruction after the jump.
    Next,
    /// So many instructions after the next.
    Skip(u8),
    Stdin,
    Pass,
    Allow,
    Notify,
}

/// Instructions whose jumps are still labels.
#[derive(Default)]
struct Assembler {
    instructions: Vec<(sock_filter, Label, Label)>,
    marks: Vec<(Label, usize)>,
}

impl Assembler {
    fn push(&mut self, code: u32, k: u32, yes: Label, no: Label) {
        self.instructions.push((sock_filter { code: code as u16, jt: 0, jf: 0, k }, yes, no));
    }

    fn load(&mut self, offset: u32) {
        self.push(BPF_LD | BPF_W | BPF_ABS, offset, Label::Next, Label::Next);
    }

    fn jump(&mut self, condition: u32, k: u32, yes: Label, no: Label) {
        self.push(BPF_JMP | condition | BPF_K, k, yes, no);
    }

    fn answer(&mut self, action: u32) {
        self.push(BPF_RET | BPF_K, action, Label::Next, Label::Next);
    }

    fn mark(&mut self, label: Label) {
        self.marks.push((label, self.instructions.len()));
    }

    /// A balanced tree: each inner node asks whether the number is at least the first of the right half, whose
    /// instructions follow those of the left half.
    fn tree(&mut self, leaves: &[(u32, Verdict)]) {
        match leaves {
            [] => {}
            [(number, verdict)] => {
                let then = match verdict {
                    Verdict::UnlessPassed => Label::Pass,
                    Verdict::StdinUnlessPassed => Label::Stdin,
                };
                self.jump(BPF_JEQ, *number, then, Label::Allow);
            }
            _ => {
                let (left, right) = leaves.split_at(leaves.len() / 2);
                let node = self.instructions.len();
                self.jump(BPF_JGE, right[0].0, Label::Next, Label::Next);
                self.tree(left);
                let skipped = self.instructions.len() - node - 1;
                self.instructions[node].1 =
                    Label::Skip(u8::try_from(skipped).expect("the table has few calls"));
                self.tree(right);
            }
        }
    }

    fn link(self) -> Vec<sock_filter> {
        let marks = self.marks;
        let distance = |from: usize, label: Label| match label {
            Label::Next => 0,
            Label::Skip(count) => count,
            _ => {
                let (_, to) = marks.iter().find(|(known, _)| *known == label).expect("every label is marked");
                u8::try_from(to - from - 1).expect("the table has few calls")
            }
        };
        self.instructions
            .iter()
            .enumerate()
            .map(|(place, &(instruction, yes, no))| sock_filter {
                jt: distance(place, yes),
                jf: distance(place, no),
                ..instruction
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Interprets the few instructions that [`build`] uses.
    fn run(program: &[sock_filter], arch: u32, number: u32, arguments: [u64; 6]) -> u32 {
        let (mut place, mut accumulator) = (0, 0);
        loop {
            let instruction = program[place];
            place += 1;
            match u32::from(instruction.code) {
                code if code == BPF_LD | BPF_W | BPF_ABS => {
                    accumulator = match instruction.k {
                        offset::NUMBER => number,
                        offset::ARCH => arch,
                        at => (arguments[(at as usize - 16) / 8] >> (8 * (at % 8))) as u32,
                    };
                }
                code if code == BPF_RET | BPF_K => return instruction.k,
                code => {
                    let holds = match code & 0xf0 {
                        BPF_JEQ => accumulator == instruction.k,
                        BPF_JGE => accumulator >= instruction.k,
                        other => panic!("unexpected jump {other:#x}"),
                    };
                    place += usize::from(if holds { instruction.jt } else { instruction.jf });
                }
            }
        }
    }

    const COOKIE: u64 = 0x0123_4567_89ab_cdef;

    #[test]
    fn every_watched_call_notifies_unless_it_carries_the_pass() {
        let program = build(COOKIE, true);
        for &(number, call) in WATCHED {
            assert_eq!(run(&program, NATIVE_ARCH, number, [0; 6]), SECCOMP_RET_USER_NOTIF, "{call:?}");
            assert_eq!(
                run(&program, NATIVE_ARCH, number, [0, 0, 0, 0, 0, COOKIE]),
                SECCOMP_RET_ALLOW,
                "{call:?}"
            );
            for almost in [COOKIE ^ 1, COOKIE ^ 1 << 32, u64::from(COOKIE as u32)] {
                let arguments = [0, 0, 0, 0, 0, almost];
                assert_eq!(run(&program, NATIVE_ARCH, number, arguments), SECCOMP_RET_USER_NOTIF, "{call:?}");
            }
        }
    }

    #[test]
    fn every_other_call_is_allowed() {
        let program = build(COOKIE, true);
        for number in (0..600).filter(|&number| watched(number).is_none()) {
            assert_eq!(run(&program, NATIVE_ARCH, number as u32, [0; 6]), SECCOMP_RET_ALLOW, "{number}");
        }
    }

    #[test]
    fn reads_are_watched_on_standard_input_only_and_only_when_asked() {
        let read = libc::SYS_read as u32;
        assert_eq!(run(&build(COOKIE, true), NATIVE_ARCH, read, [0; 6]), SECCOMP_RET_USER_NOTIF);
        assert_eq!(run(&build(COOKIE, true), NATIVE_ARCH, read, [3, 0, 0, 0, 0, 0]), SECCOMP_RET_ALLOW);
        assert_eq!(run(&build(COOKIE, false), NATIVE_ARCH, read, [0; 6]), SECCOMP_RET_ALLOW);
    }

    #[test]
    fn foreign_abis_always_notify() {
        let program = build(COOKIE, false);
        let passed = [0, 0, 0, 0, 0, COOKIE];
        assert_eq!(run(&program, 0x4000_0003, 4, passed), SECCOMP_RET_USER_NOTIF);
        assert_eq!(run(&program, NATIVE_ARCH, X32 | 1, passed), SECCOMP_RET_USER_NOTIF);
    }
}
