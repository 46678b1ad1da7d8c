//! Whether somebody waits to read from a terminal, as `/proc` tells of blocked system calls.

use std::fs;
use std::os::unix::fs::MetadataExt;

use libc::{c_long, dev_t};

use super::memory::Memory;

/// The most descriptors of one `poll` or `select` that are looked at.
const MOST: usize = 1024;

/// Whether any thread of another process, whose calls we may know, waits to read from one of these terminals.
pub(super) fn is_awaited(devices: &[dev_t]) -> bool {
    numbers_in("/proc")
        .filter(|process| *process != std::process::id())
        .any(|process| numbers_in(&format!("/proc/{process}/task")).any(|thread| waits_for(thread, devices)))
}

fn numbers_in(folder: &str) -> impl Iterator<Item = u32> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn waits_for(thread: u32, devices: &[dev_t]) -> bool {
    let call = fs::read_to_string(format!("/proc/{thread}/syscall")).unwrap_or_default();
    let descriptors = awaited(&call, |address, length| {
        let mut bytes = vec![0; length];
        let read = Memory::of(thread).read(address, &mut bytes).unwrap_or(0);
        bytes.truncate(read);
        bytes
    });
    descriptors.into_iter().any(|fd| {
        let status = fs::metadata(format!("/proc/{thread}/fd/{fd}"));
        status.is_ok_and(|status| devices.contains(&status.rdev()))
    })
}

/// The descriptors that a call waits to read from; `call` is as in proc_pid_syscall(5), and `memory` gives so many bytes from an
/// address on, or fewer.
fn awaited(call: &str, memory: impl Fn(u64, usize) -> Vec<u8>) -> Vec<u32> {
    let mut words = call.split_ascii_whitespace();
    let Some(number) = words.next().and_then(|number| number.parse::<c_long>().ok()) else {
        return Vec::new();
    };
    let hexadecimal = |word: &str| u64::from_str_radix(word.strip_prefix("0x")?, 16).ok();
    let arguments: Vec<u64> = words.map_while(hexadecimal).collect();
    let &[first, second, ..] = arguments.as_slice() else { return Vec::new() };
    match number {
        libc::SYS_read | libc::SYS_readv => vec![first as u32],
        #[cfg(target_arch = "x86_64")]
        libc::SYS_poll => polled(&memory(first, (second as usize).min(MOST) * 8)),
        libc::SYS_ppoll => polled(&memory(first, (second as usize).min(MOST) * 8)),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_select => selected(&memory(second, (first as usize).min(MOST).div_ceil(8))),
        libc::SYS_pselect6 => selected(&memory(second, (first as usize).min(MOST).div_ceil(8))),
        _ => Vec::new(),
    }
}

/// The descriptors of an array of `struct pollfd`: a descriptor of four bytes, and two for what is asked.
fn polled(array: &[u8]) -> Vec<u32> {
    let one = |entry: &[u8]| {
        let &[a, b, c, d, asked, ..] = entry else { return None };
        (i16::from(asked) & libc::POLLIN != 0).then(|| u32::from_le_bytes([a, b, c, d]))
    };
    array.chunks_exact(8).filter_map(one).collect()
}

/// The descriptors of an `fd_set`: a bit for each.
fn selected(set: &[u8]) -> Vec<u32> {
    let bits =
        (0..).zip(set).flat_map(|(place, byte)| (0..8).map(move |bit| (place * 8 + bit, byte >> bit & 1)));
    bits.filter(|(_, bit)| *bit == 1).map(|(fd, _)| fd).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blocked_call_tells_what_it_waits_for() {
        let nothing = |_, _| Vec::new();
        let read = format!("{} 0x3 0x7ffe 0x1 0x24 0x0 0x0 0x7ffe 0x7fe5\n", libc::SYS_read);
        assert_eq!(awaited(&read, nothing), [3]);
        let write = format!("{} 0x3 0x7ffe 0x1 0x24 0x0 0x0 0x7ffe 0x7fe5\n", libc::SYS_write);
        for other in [&*write, "running\n", "-1 0x7ffe 0x7fe5\n", ""] {
            assert!(awaited(other, nothing).is_empty(), "{other}");
        }
        let poll = format!("{} 0x1000 0x3 0x0 0x0 0x0 0x0 0x7ffe 0x7fe5\n", libc::SYS_ppoll);
        let array = [[2, 0, 0, 0, 1, 0, 0, 0], [1, 0, 0, 0, 4, 0, 0, 0], [0, 1, 0, 0, 5, 0, 0, 0]].concat();
        let given =
            |address, length| if (address, length) == (0x1000, 24) { array.clone() } else { Vec::new() };
        assert_eq!(awaited(&poll, given), [2, 256]);
        let select = format!("{} 0xb 0x1000 0x0 0x0 0x0 0x0 0x7ffe 0x7fe5\n", libc::SYS_pselect6);
        let given = |address, length| if (address, length) == (0x1000, 2) { vec![1, 4] } else { Vec::new() };
        assert_eq!(awaited(&select, given), [0, 10]);
    }
}
