//! The seccomp filter: a decision tree over system call numbers for each ABI, generated from the table of watched calls.

use std::io;

use libc::{
    BPF_ABS, BPF_ADD, BPF_ALU, BPF_AND, BPF_JA, BPF_JEQ, BPF_JGE, BPF_JMP, BPF_K, BPF_LD, BPF_MISC, BPF_RET,
    BPF_TAX, BPF_W, BPF_X, SECCOMP_RET_ALLOW, SECCOMP_RET_USER_NOTIF, seccomp_data, sock_filter,
};
use shm_protocol::calls::Call;

use super::abi::{self, I386_ARCH, NATIVE_ARCH, Use, X32_BIT};
use super::loader::{PAGE, Silent};
#[cfg(test)]
use crate::tracing::MOST_STREAMS;

/// Offsets in `struct seccomp_data` (linux/seccomp.h), whose words are little-endian on both architectures.
mod offset {
    pub(super) const NUMBER: u32 = 0;
    pub(super) const ARCH: u32 = 4;
    /// The address at which the program goes on.
    pub(super) const PLACE: u32 = 8;

    pub(super) const fn argument(index: u32) -> u32 {
        16 + 8 * index
    }
}

/// What the filter does with a watched call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// Let it through if it carries the pass, else notify.
    UnlessPassed,
    /// The same, but only for the streams that the command was given.
    Streams,
    /// The same, but only for those of them that are no standard streams.
    OtherStreams,
    /// The same, but only if it names an address (`sendto`, whose fifth argument that is).
    Addressed,
    /// The same, but not where the loader makes it of nothing.
    UnlessSilent,
}

/// The leaves of a tree. Uses of the descriptors `streams` are watched.
fn leaves(
    calls: impl Iterator<Item = (u32, Option<Call>)>,
    streams: &[i32],
    silent: &[Silent],
) -> Vec<(u32, Verdict)> {
    let uses = |call| match abi::uses_descriptor(call)? {
        Use::Read => Some((Verdict::Streams, !streams.is_empty())),
        Use::Other => Some((Verdict::OtherStreams, others(streams).next().is_some())),
    };
    let verdict = |number: u32, call: Option<Call>| match call {
        _ if silent.iter().any(|silent| silent.number == number) => Some(Verdict::UnlessSilent),
        Some(Call::sendto) => Some(Verdict::Addressed),
        _ => match call.and_then(uses) {
            Some((verdict, is_watched)) => is_watched.then_some(verdict),
            None => Some(Verdict::UnlessPassed),
        },
    };
    let mut leaves: Vec<_> =
        calls.filter_map(|(number, call)| Some((number, verdict(number, call)?))).collect();
    leaves.sort_unstable_by_key(|(number, _)| *number);
    leaves
}

/// Those that are no standard streams.
fn others(streams: &[i32]) -> impl Iterator<Item = i32> {
    streams.iter().copied().filter(|&number| number > 2)
}

/// Builds the filter: watched calls without `cookie` in their sixth argument, and all calls of an ABI that is not known,
/// notify the supervisor; everything else, and the `silent` calls of the loader, are allowed. Of the calls that use a
/// descriptor those on `streams` are watched, of which there are few.
///
/// # Errors
/// It would be too long.
pub(super) fn build(cookie: u64, streams: &[i32], silent: &[Silent]) -> io::Result<Vec<sock_filter>> {
    assemble(cookie, streams, silent).ok_or_else(|| io::Error::other("the filter is too long"))
}

fn assemble(cookie: u64, streams: &[i32], silent: &[Silent]) -> Option<Vec<sock_filter>> {
    let some = |(number, call)| (number, Some(call));
    let native = section(&leaves(abi::native().map(some), streams, silent), Some(cookie), streams, silent)?;
    // What the library does not do, nobody has a pass for; the loader of a native program makes no other calls.
    let x32 = section(&leaves(abi::x32().map(some), streams, &[]), None, streams, &[])?;
    let i386 = section(&leaves(abi::i386(), streams, &[]), None, streams, &[])?;

    let statement = |code: u32, k| sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let jump =
        |condition: u32, k, jt, jf| sock_filter { code: (BPF_JMP | condition | BPF_K) as u16, jt, jf, k };
    let load = |offset| statement(BPF_LD | BPF_W | BPF_ABS, offset);
    let skip = |count: usize| statement(BPF_JMP | BPF_JA, count as u32);
    let mut program = vec![
        load(offset::ARCH),
        jump(BPF_JEQ, NATIVE_ARCH, 4, 0),
        jump(BPF_JEQ, I386_ARCH, 0, 2),
        load(offset::NUMBER),
        skip(4 + native.len() + x32.len()),
        statement(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
        load(offset::NUMBER),
        jump(BPF_JGE, X32_BIT, 0, 1),
        skip(native.len()),
    ];
    program.extend(native.into_iter().chain(x32).chain(i386));
    Some(program)
}

/// The decision on a call of one ABI, whose number is loaded.
fn section(
    leaves: &[(u32, Verdict)],
    cookie: Option<u64>,
    streams: &[i32],
    silent: &[Silent],
) -> Option<Vec<sock_filter>> {
    let mut program = Assembler::default();
    program.tree(leaves)?;

    program.mark(Label::Streams);
    program.load(offset::argument(0));
    program.jump(BPF_JEQ, 0, if streams.contains(&0) { Label::Pass } else { Label::Next }, Label::Next);
    program.mark(Label::OtherStreams);
    program.load(offset::argument(0));
    for number in others(streams) {
        program.jump(BPF_JEQ, number as u32, Label::Pass, Label::Next);
    }
    program.jump(BPF_JEQ, 0, Label::Allow, Label::Allow);

    program.mark(Label::Addressed);
    program.load(offset::argument(4));
    program.jump(BPF_JEQ, 0, Label::Next, Label::Pass);
    program.load(offset::argument(4) + 4);
    program.jump(BPF_JEQ, 0, Label::Allow, Label::Pass);

    program.end(cookie);
    if leaves.iter().any(|(_, verdict)| *verdict == Verdict::UnlessSilent) {
        program.mark(Label::Silent);
        if let Some(cookie) = cookie {
            // The calls of the library are the many.
            program.load(offset::argument(5));
            program.jump(BPF_JEQ, cookie as u32, Label::Pass, Label::Next);
        }
        for call in silent {
            program.silent(*call);
        }
        // No jump leads back to the other end.
        program.end(cookie);
    }
    program.link()
}

/// Where a jump goes: to the next place that is marked so.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Label {
    /// The instruction after the jump.
    Next,
    /// So many instructions after the next.
    Skip(u8),
    Streams,
    OtherStreams,
    Addressed,
    Silent,
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

    /// The last decision: calls with the pass are allowed, others notify.
    fn end(&mut self, cookie: Option<u64>) {
        self.mark(Label::Pass);
        if let Some(cookie) = cookie {
            self.load(offset::argument(5));
            self.jump(BPF_JEQ, cookie as u32, Label::Next, Label::Notify);
            self.load(offset::argument(5) + 4);
            self.jump(BPF_JEQ, (cookie >> 32) as u32, Label::Allow, Label::Notify);
        }
        self.mark(Label::Notify);
        self.answer(SECCOMP_RET_USER_NOTIF);
        self.mark(Label::Allow);
        self.answer(SECCOMP_RET_ALLOW);
    }

    /// A balanced tree: each inner node asks whether the number is at least the first of the right half, whose
    /// instructions follow those of the left half. Few numbers are asked for one after the other; what is none of them is
    /// allowed.
    fn tree(&mut self, leaves: &[(u32, Verdict)]) -> Option<()> {
        const FEW: usize = 4;
        if leaves.len() <= FEW {
            for (number, verdict) in leaves {
                let then = match verdict {
                    Verdict::UnlessPassed => Label::Pass,
                    Verdict::Streams => Label::Streams,
                    Verdict::OtherStreams => Label::OtherStreams,
                    Verdict::Addressed => Label::Addressed,
                    Verdict::UnlessSilent => Label::Silent,
                };
                self.jump(BPF_JEQ, *number, then, Label::Next);
            }
            self.answer(SECCOMP_RET_ALLOW);
            return Some(());
        }
        let (left, right) = leaves.split_at(leaves.len() / 2);
        let node = self.instructions.len();
        self.jump(BPF_JGE, right[0].0, Label::Next, Label::Next);
        self.tree(left)?;
        let skipped = self.instructions.len() - node - 1;
        self.instructions[node].1 = Label::Skip(u8::try_from(skipped).ok()?);
        self.tree(right)
    }

    /// Allows `call`; with any other it goes on after this.
    fn silent(&mut self, call: Silent) {
        let path = offset::argument(u32::from(call.number == libc::SYS_newfstatat as u32));
        let statement = |code, k| (code, k, false);
        let must = |condition: u32, k| (BPF_JMP | condition, k, true);
        let steps = [
            statement(BPF_LD | BPF_W | BPF_ABS, offset::NUMBER),
            must(BPF_JEQ | BPF_K, call.number),
            statement(BPF_LD | BPF_W | BPF_ABS, offset::PLACE),
            statement(BPF_ALU | BPF_AND | BPF_K, PAGE - 1),
            must(BPF_JEQ | BPF_K, call.place),
            statement(BPF_LD | BPF_W | BPF_ABS, offset::PLACE),
            statement(BPF_MISC | BPF_TAX, 0),
            statement(BPF_LD | BPF_W | BPF_ABS, path),
            statement(BPF_ALU | BPF_ADD | BPF_K, call.distance),
            must(BPF_JEQ | BPF_X, 0),
            statement(BPF_LD | BPF_W | BPF_ABS, offset::PLACE + 4),
            statement(BPF_MISC | BPF_TAX, 0),
            statement(BPF_LD | BPF_W | BPF_ABS, path + 4),
            must(BPF_JEQ | BPF_X, 0),
        ];
        for (place, &(code, k, is_condition)) in steps.iter().enumerate() {
            let after = Label::Skip((steps.len() - place - 1) as u8);
            let last = place == steps.len() - 1;
            let (yes, no) = if is_condition { (Label::Next, after) } else { (Label::Next, Label::Next) };
            self.push(code, k, if last { Label::Allow } else { yes }, no);
        }
    }

    /// The instructions with their distances; `None` if one is too far.
    fn link(self) -> Option<Vec<sock_filter>> {
        let marks = self.marks;
        let distance = |from: usize, label: Label| match label {
            Label::Next => Some(0),
            Label::Skip(count) => Some(count),
            _ => {
                let next = |&&(known, to): &&(Label, usize)| known == label && to > from;
                let (_, to) = marks.iter().find(next)?;
                u8::try_from(to - from - 1).ok()
            }
        };
        let link = |(place, &(instruction, yes, no)): (usize, &(sock_filter, Label, Label))| {
            Some(sock_filter { jt: distance(place, yes)?, jf: distance(place, no)?, ..instruction })
        };
        self.instructions.iter().enumerate().map(link).collect()
    }
}

/// What the kernel would answer to a call, where the filter is not with the kernel: interprets the instructions that
/// [`build`] uses.
pub(super) fn evaluate(program: &[sock_filter], data: &seccomp_data) -> u32 {
    let (mut place, mut accumulator, mut index) = (0, 0_u32, 0);
    while let Some(instruction) = program.get(place) {
        place += 1;
        let code = u32::from(instruction.code);
        let operand = if code & BPF_X == 0 { instruction.k } else { index };
        let jump = |holds| usize::from(if holds { instruction.jt } else { instruction.jf });
        match code & !BPF_X {
            code if code == BPF_LD | BPF_W | BPF_ABS => {
                accumulator = match instruction.k {
                    offset::NUMBER => data.nr as u32,
                    offset::ARCH => data.arch,
                    at => {
                        let word = match at.checked_sub(offset::argument(0)) {
                            None => data.instruction_pointer,
                            Some(at) => data.args[at as usize / 8],
                        };
                        (word >> (8 * (at % 8))) as u32
                    }
                };
            }
            code if code == BPF_MISC | BPF_TAX => index = accumulator,
            code if code == BPF_ALU | BPF_AND | BPF_K => accumulator &= operand,
            code if code == BPF_ALU | BPF_ADD | BPF_K => accumulator = accumulator.wrapping_add(operand),
            code if code == BPF_JMP | BPF_JA => place += instruction.k as usize,
            code if code == BPF_JMP | BPF_JEQ => place += jump(accumulator == operand),
            code if code == BPF_JMP | BPF_JGE => place += jump(accumulator >= operand),
            _ => return instruction.k,
        }
    }
    // Every program ends with an answer.
    SECCOMP_RET_USER_NOTIF
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(cookie: u64, streams: &[i32], silent: &[Silent]) -> Vec<sock_filter> {
        super::build(cookie, streams, silent).expect("it is short enough")
    }

    fn run(program: &[sock_filter], arch: u32, number: u32, arguments: [u64; 6]) -> u32 {
        run_at(0x5555_0000_1234, program, arch, number, arguments)
    }

    fn run_at(from: u64, program: &[sock_filter], arch: u32, number: u32, arguments: [u64; 6]) -> u32 {
        let data = seccomp_data { nr: number as i32, arch, instruction_pointer: from, args: arguments };
        evaluate(program, &data)
    }

    const COOKIE: u64 = 0x0123_4567_89ab_cdef;

    #[test]
    fn every_watched_call_notifies_unless_it_carries_the_pass() {
        let program = build(COOKIE, &[0, 7], &[]);
        for (number, call) in abi::native() {
            assert_eq!(
                run(&program, NATIVE_ARCH, number, [7, 0, 0, 0, 1, 0]),
                SECCOMP_RET_USER_NOTIF,
                "{call:?}"
            );
            assert_eq!(
                run(&program, NATIVE_ARCH, number, [7, 0, 0, 0, 1, COOKIE]),
                SECCOMP_RET_ALLOW,
                "{call:?}"
            );
            for almost in [COOKIE ^ 1, COOKIE ^ 1 << 32, u64::from(COOKIE as u32)] {
                let arguments = [7, 0, 0, 0, 1, almost];
                assert_eq!(run(&program, NATIVE_ARCH, number, arguments), SECCOMP_RET_USER_NOTIF, "{call:?}");
            }
        }
    }

    #[test]
    fn every_other_call_is_allowed() {
        let program = build(COOKIE, &[0, 7], &[]);
        let watched = |number| abi::native().any(|(known, _)| known == number);
        for number in (0..600).filter(|&number| !watched(number)) {
            assert_eq!(run(&program, NATIVE_ARCH, number, [0; 6]), SECCOMP_RET_ALLOW, "{number}");
        }
    }

    #[test]
    fn descriptors_are_watched_if_they_are_given_streams_and_standard_ones_only_when_they_are_read() {
        let notifies = |streams: &[i32], number: i64, descriptor: u64| {
            let arguments = [descriptor, 0, 0, 0, 0, 0];
            run(&build(COOKIE, streams, &[]), NATIVE_ARCH, number as u32, arguments) == SECCOMP_RET_USER_NOTIF
        };
        for reads in [libc::SYS_read, libc::SYS_readv, libc::SYS_recvfrom, libc::SYS_splice] {
            assert!(notifies(&[0], reads, 0) && notifies(&[0, 63], reads, 63) && notifies(&[63], reads, 63));
            assert!(!notifies(&[0, 63], reads, 3) && !notifies(&[], reads, 0) && !notifies(&[63], reads, 0));
        }
        for uses in [libc::SYS_write, libc::SYS_dup, libc::SYS_dup3, libc::SYS_fcntl] {
            assert!(notifies(&[0, 63], uses, 63) && !notifies(&[0, 63], uses, 0) && !notifies(&[0], uses, 0));
        }
    }

    #[test]
    fn as_many_streams_as_are_allowed_can_be_watched() {
        let streams: Vec<i32> = (100..).take(MOST_STREAMS).collect();
        let program = build(
            COOKIE,
            &streams,
            &[Silent { number: libc::SYS_readlinkat as u32, place: 0, distance: 0 }; 5],
        );
        for number in streams {
            let arguments = [number as u64, 0, 0, 0, 0, 0];
            assert_eq!(run(&program, NATIVE_ARCH, libc::SYS_read as u32, arguments), SECCOMP_RET_USER_NOTIF);
        }
    }

    #[test]
    fn what_is_sent_is_watched_only_with_an_address() {
        let (program, sendto) = (build(COOKIE, &[], &[]), libc::SYS_sendto as u32);
        assert_eq!(run(&program, NATIVE_ARCH, sendto, [9, 8, 7, 6, 0, 0]), SECCOMP_RET_ALLOW);
        assert_eq!(run(&program, NATIVE_ARCH, sendto, [9, 8, 7, 6, 1 << 32, 0]), SECCOMP_RET_USER_NOTIF);
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn the_same_calls_of_other_abis_notify_even_with_the_pass_and_others_are_allowed() {
        let program = build(COOKIE, &[0, 7], &[]);
        let passed = [7, 0, 0, 0, 1, COOKIE];
        let watched = |number| abi::i386().any(|(known, _)| known == number);
        for number in 0..600 {
            let notified = run(&program, I386_ARCH, number, passed) == SECCOMP_RET_USER_NOTIF;
            assert_eq!(notified, watched(number), "{number}");
        }
        for number in X32_BIT..X32_BIT + 600 {
            let watched = abi::x32().any(|(known, _)| known == number);
            let notified = run(&program, NATIVE_ARCH, number, passed) == SECCOMP_RET_USER_NOTIF;
            assert_eq!(notified, watched, "{number}");
        }
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn the_loader_is_let_through_where_its_path_is_a_constant_and_only_there() {
        let base = 0x7fff_f7fc_5000_u64;
        let (after, path) = (base + 0x2_092a, base + 0x2_9c99);
        let distance = after.wrapping_sub(path) as u32;
        let [number, readlink] = [libc::SYS_newfstatat as u32, libc::SYS_readlink as u32];
        let silent = [
            Silent { number, place: 0x92a, distance },
            Silent { number: readlink, place: 0x3f6, distance: 8 },
        ];
        let program = build(COOKIE, &[], &silent);
        let at = |from, number, arguments| run_at(from, &program, NATIVE_ARCH, number, arguments);
        assert_eq!(at(after, number, [3, path, 0, 0, 0, 0]), SECCOMP_RET_ALLOW);
        assert_eq!(at(0x7000_0000_03f6, readlink, [0x7000_0000_03ee, 0, 0, 0, 0, 0]), SECCOMP_RET_ALLOW);
        for (from, number, path) in [
            (after, number, path + 1),
            (after + 0x10, number, path + 0x10),
            (after, number, path + (1 << 32)),
            (after, readlink, path),
            (after, libc::SYS_openat as u32, path),
        ] {
            assert_eq!(
                at(from, number, [3, path, 0, 0, 0, 0]),
                SECCOMP_RET_USER_NOTIF,
                "{from:x} {number} {path:x}"
            );
        }
        // It carries the pass, from wherever it comes.
        assert_eq!(at(0x1000, number, [3, 0x2000, 0, 0, 0, COOKIE]), SECCOMP_RET_ALLOW);
        assert_eq!(at(0x1000, number, [3, 0x2000, 0, 0, 0, COOKIE ^ 1 << 32]), SECCOMP_RET_USER_NOTIF);
    }

    #[test]
    fn an_abi_that_is_not_known_always_notifies() {
        let passed = [0, 0, 0, 0, 0, COOKIE];
        assert_eq!(run(&build(COOKIE, &[], &[]), 0x4000_0028, 4, passed), SECCOMP_RET_USER_NOTIF);
    }
}
