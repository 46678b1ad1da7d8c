//! A record as bytes: a head of fixed length, then paths.
//!
//! | bytes | |
//! |---|---|
//! | 1 | tag of the event |
//! | 4 | pid |
//! | 8 | time |
//! | 8 | detail, as the event has it; the rest zeros |
//! | | paths, to the end of the record |
//!
//! Integers are little-endian. There is one encoding of each record: what decodes encodes to the same bytes.

use core::fmt;

use super::{Event, Exit, Image, Record};
use crate::access::{Access, AccessKind, Before, Change, Effect, Gap, Outcome};
use crate::calls::Call;
use crate::path::Joined;

const DETAIL: usize = 8;
const HEAD: usize = 1 + 4 + 8 + DETAIL;

const ACCESS: u8 = 1;
const EXEC: u8 = 2;
const EXEC_FAILED: u8 = 3;
const FORK: u8 = 4;
const INSTRUMENTED: u8 = 5;
const EXIT: u8 = 6;
const GAP: u8 = 7;
const STREAM_USED: u8 = 8;
const NETWORK: u8 = 9;
const IO_URING_REFUSED: u8 = 10;
const KILLED: u8 = 11;

/// In the byte of the outcome: the call follows a symbolic link at the end of the path.
const FOLLOW: u8 = 0x80;

/// Why bytes are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadRecord {
    /// Shorter or longer than the event it claims to be.
    Length,
    /// A value that stands for nothing.
    Value,
    /// A path that is not absolute or holds a NUL.
    Path,
}

impl fmt::Display for BadRecord {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Length => "a record of the wrong length",
            Self::Value => "a record with an unknown value",
            Self::Path => "a record with a path that is not absolute or holds a NUL",
        })
    }
}

impl core::error::Error for BadRecord {}

impl<'a> Record<'a> {
    /// Length of the encoded record in bytes.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        let mut length = HEAD;
        for piece in self.pieces() {
            length = length.wrapping_add(piece.len());
        }
        length
    }

    /// Hands the encoded record to `put`, piece by piece.
    pub fn encode(&self, mut put: impl FnMut(&[u8])) {
        let (tag, [d0, d1, d2, d3, d4, d5, d6, d7]) = self.tag_and_detail();
        let [p0, p1, p2, p3] = self.pid.to_le_bytes();
        let [t0, t1, t2, t3, t4, t5, t6, t7] = self.time_ns.to_le_bytes();
        put(&[tag, p0, p1, p2, p3, t0, t1, t2, t3, t4, t5, t6, t7, d0, d1, d2, d3, d4, d5, d6, d7]);
        for piece in self.pieces() {
            put(piece);
        }
    }

    /// Reads one record that takes all of `bytes`.
    ///
    /// # Errors
    /// The bytes are not what [`Record::encode`] makes of any record with sound paths.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, BadRecord> {
        let (&[tag, p0, p1, p2, p3, t0, t1, t2, t3, t4, t5, t6, t7, d0, d1, d2, d3, d4, d5, d6, d7], rest) =
            bytes.split_first_chunk::<HEAD>().ok_or(BadRecord::Length)?;
        Ok(Self {
            pid: u32::from_le_bytes([p0, p1, p2, p3]),
            time_ns: u64::from_le_bytes([t0, t1, t2, t3, t4, t5, t6, t7]),
            event: event(tag, [d0, d1, d2, d3, d4, d5, d6, d7], rest)?,
        })
    }

    /// The paths behind the head.
    fn pieces(&self) -> [&'a [u8]; 3] {
        match self.event {
            Event::Access(access) => access.path.pieces(),
            Event::Exec(image) => [image.exe, image.cwd, image.argv],
            Event::Network(address) => [address, &[], &[]],
            _ => [&[]; 3],
        }
    }

    fn tag_and_detail(&self) -> (u8, [u8; DETAIL]) {
        match self.event {
            Event::Access(access) => (ACCESS, access_detail(&access)),
            Event::Exec(image) => {
                let [e0, e1, e2, e3] = (image.exe.len() as u32).to_le_bytes();
                let [c0, c1, c2, c3] = (image.cwd.len() as u32).to_le_bytes();
                (EXEC, [e0, e1, e2, e3, c0, c1, c2, c3])
            }
            Event::ExecFailed => (EXEC_FAILED, [0; DETAIL]),
            Event::Fork { parent } => (FORK, u64::from(parent).to_le_bytes()),
            Event::Instrumented => (INSTRUMENTED, [0; DETAIL]),
            Event::Exit(Exit::Code(code)) => (EXIT, u64::from(code).to_le_bytes()),
            Event::Exit(Exit::Signal(signal)) => (EXIT, [signal, 0, 0, 0, 1, 0, 0, 0]),
            Event::Killed { child, signal } => {
                let [p0, p1, p2, p3] = child.to_le_bytes();
                (KILLED, [p0, p1, p2, p3, signal, 0, 0, 0])
            }
            Event::Gap(gap) => (GAP, u64::from(gap as u8).to_le_bytes()),
            Event::StreamUsed(number) => {
                let [n0, n1, n2, n3] = number.to_le_bytes();
                (STREAM_USED, [n0, n1, n2, n3, 0, 0, 0, 0])
            }
            Event::Network(_) => (NETWORK, [0; DETAIL]),
            Event::IoUringRefused => (IO_URING_REFUSED, [0; DETAIL]),
        }
    }
}

fn event(tag: u8, detail: [u8; DETAIL], rest: &[u8]) -> Result<Event<'_>, BadRecord> {
    match tag {
        ACCESS => return access(detail, rest).map(Event::Access),
        EXEC => return image(detail, rest).map(Event::Exec),
        NETWORK => {
            return if rest.contains(&0) {
                Err(BadRecord::Value)
            } else {
                zeros(detail, Event::Network(rest))
            };
        }
        _ => {}
    }
    if !rest.is_empty() {
        return Err(BadRecord::Length);
    }
    match (tag, detail) {
        (FORK, [p0, p1, p2, p3, 0, 0, 0, 0]) => {
            Ok(Event::Fork { parent: u32::from_le_bytes([p0, p1, p2, p3]) })
        }
        (EXIT, [c0, c1, c2, c3, 0, 0, 0, 0]) => {
            Ok(Event::Exit(Exit::Code(u32::from_le_bytes([c0, c1, c2, c3]))))
        }
        (EXIT, [signal, 0, 0, 0, 1, 0, 0, 0]) => Ok(Event::Exit(Exit::Signal(signal))),
        (KILLED, [p0, p1, p2, p3, signal, 0, 0, 0]) => {
            Ok(Event::Killed { child: u32::from_le_bytes([p0, p1, p2, p3]), signal })
        }
        (GAP, [gap, 0, 0, 0, 0, 0, 0, 0]) => Gap::from_wire(gap).map(Event::Gap).ok_or(BadRecord::Value),
        (EXEC_FAILED, _) => zeros(detail, Event::ExecFailed),
        (INSTRUMENTED, _) => zeros(detail, Event::Instrumented),
        (STREAM_USED, [n0, n1, n2, n3, 0, 0, 0, 0]) => {
            Ok(Event::StreamUsed(i32::from_le_bytes([n0, n1, n2, n3])))
        }
        (IO_URING_REFUSED, _) => zeros(detail, Event::IoUringRefused),
        _ => Err(BadRecord::Value),
    }
}

/// An event without details.
fn zeros(detail: [u8; DETAIL], event: Event<'_>) -> Result<Event<'_>, BadRecord> {
    if detail == [0; DETAIL] { Ok(event) } else { Err(BadRecord::Value) }
}

fn access_detail(access: &Access<'_>) -> [u8; DETAIL] {
    let [c0, c1] = (access.call as u16).to_le_bytes();
    let outcome = access.outcome as u8 | if access.follow { FOLLOW } else { 0 };
    let (effect, (before, mode)) = match access.change {
        Some(change) => (change.effect as u8, change.before.to_wire()),
        None => (0, (0, 0)),
    };
    let [m0, m1] = mode.to_le_bytes();
    [c0, c1, access.kind as u8, outcome, effect, before, m0, m1]
}

fn access(
    [c0, c1, kind, outcome, effect, before, m0, m1]: [u8; DETAIL],
    path: &[u8],
) -> Result<Access<'_>, BadRecord> {
    let change = match (effect, before, m0, m1) {
        (0, 0, 0, 0) => None,
        _ => Some(Change {
            effect: Effect::from_wire(effect).ok_or(BadRecord::Value)?,
            before: Before::from_wire(before, u16::from_le_bytes([m0, m1]))
                .filter(|state| state.to_wire() == (before, u16::from_le_bytes([m0, m1])))
                .ok_or(BadRecord::Value)?,
        }),
    };
    Ok(Access {
        call: Call::from_wire(u16::from_le_bytes([c0, c1])).ok_or(BadRecord::Value)?,
        kind: AccessKind::from_wire(kind).ok_or(BadRecord::Value)?,
        outcome: Outcome::from_wire(outcome & !FOLLOW).ok_or(BadRecord::Value)?,
        follow: outcome & FOLLOW != 0,
        change,
        path: Joined::absolute(absolute(path)?),
    })
}

fn image([e0, e1, e2, e3, c0, c1, c2, c3]: [u8; DETAIL], rest: &[u8]) -> Result<Image<'_>, BadRecord> {
    let (exe, rest) =
        rest.split_at_checked(u32::from_le_bytes([e0, e1, e2, e3]) as usize).ok_or(BadRecord::Length)?;
    let (cwd, argv) =
        rest.split_at_checked(u32::from_le_bytes([c0, c1, c2, c3]) as usize).ok_or(BadRecord::Length)?;
    if !matches!(argv.last(), None | Some(0)) {
        return Err(BadRecord::Value);
    }
    Ok(Image { exe: absolute(exe)?, cwd: if cwd.is_empty() { cwd } else { absolute(cwd)? }, argv })
}

fn absolute(path: &[u8]) -> Result<&[u8], BadRecord> {
    if path.first() == Some(&b'/') && !path.contains(&0) { Ok(path) } else { Err(BadRecord::Path) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes_of(record: &Record<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        record.encode(|piece| bytes.extend_from_slice(piece));
        assert_eq!(bytes.len(), record.encoded_len());
        bytes
    }

    fn path() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(1..=u8::MAX, 0..60).prop_map(|mut tail| {
            tail.insert(0, b'/');
            tail
        })
    }

    fn change() -> impl Strategy<Value = Option<Change>> {
        let before = (0..6_u8, any::<u16>()).prop_map(|(tag, mode)| Before::from_wire(tag, mode).unwrap());
        prop::option::of(
            (1..=4_u8, before)
                .prop_map(|(effect, before)| Change { effect: Effect::from_wire(effect).unwrap(), before }),
        )
    }

    proptest! {
        #[test]
        fn accesses_come_back_with_their_path_joined(
            (pid, time_ns) in any::<(u32, u64)>(),
            call in 0..Call::ALL.len(),
            (kind, outcome, follow) in (1..=7_u8, 1..=3_u8, any::<bool>()),
            change in change(),
            directory in path(),
            name in prop::collection::vec(1..=u8::MAX, 0..60),
        ) {
            let access = Access {
                call: Call::ALL[call],
                kind: AccessKind::from_wire(kind).unwrap(),
                outcome: Outcome::from_wire(outcome).unwrap(),
                follow,
                change,
                path: Joined::new(&directory, &name),
            };
            let record = Record { pid, time_ns, event: Event::Access(access) };
            let bytes = bytes_of(&record);
            let back = Record::decode(&bytes).unwrap();
            prop_assert_eq!(back, record);
            let Event::Access(access) = back.event else { panic!("an access") };
            prop_assert!(access.path.directory.is_empty());
        }

        #[test]
        fn images_come_back(exe in path(), cwd in prop::option::of(path()), argv in prop::collection::vec(any::<u8>(), 0..40), pid in any::<u32>()) {
            let mut argv = argv;
            if let Some(last) = argv.last_mut() {
                *last = 0;
            }
            let image = Image { exe: &exe, cwd: cwd.as_deref().unwrap_or_default(), argv: &argv };
            let record = Record { pid, time_ns: u64::MAX, event: Event::Exec(image) };
            let bytes = bytes_of(&record);
            prop_assert_eq!(Record::decode(&bytes), Ok(record));
        }

        #[test]
        fn what_decodes_has_no_other_encoding(bytes in prop::collection::vec(prop_oneof![3 => 0..12_u8, 1 => Just(b'/'), 1 => any::<u8>()], 0..60)) {
            if let Ok(record) = Record::decode(&bytes) {
                prop_assert_eq!(bytes_of(&record), bytes);
            }
        }
    }

    #[test]
    fn every_other_event_comes_back() {
        let mut events = vec![
            Event::ExecFailed,
            Event::Fork { parent: u32::MAX },
            Event::Instrumented,
            Event::Exit(Exit::Code(255)),
            Event::Exit(Exit::Code(u32::MAX)),
            Event::Exit(Exit::Signal(9)),
            Event::Killed { child: u32::MAX, signal: 9 },
            Event::StreamUsed(i32::MAX),
            Event::Network(b"localhost:80"),
            Event::IoUringRefused,
        ];
        events.extend(Gap::ALL.map(Event::Gap));
        for event in events {
            let record = Record { pid: 4711, time_ns: 1 << 60, event };
            let bytes = bytes_of(&record);
            assert_eq!(Record::decode(&bytes), Ok(record));
            for length in 0..HEAD {
                assert_eq!(Record::decode(&bytes[..length]), Err(BadRecord::Length));
            }
            let longer = [&bytes[..], b"\0"].concat();
            assert!(Record::decode(&longer).is_err(), "{event:?}");
        }
    }

    #[test]
    fn paths_that_are_not_absolute_or_hold_a_nul_are_refused() {
        let access = Access {
            call: Call::ALL[0],
            kind: AccessKind::Read,
            outcome: Outcome::Done,
            follow: true,
            change: None,
            path: Joined::absolute(b""),
        };
        for path in [&b""[..], b"a", b"/a\0"] {
            let event = Event::Access(Access { path: Joined::absolute(path), ..access });
            assert_eq!(
                Record::decode(&bytes_of(&Record { pid: 1, time_ns: 1, event })),
                Err(BadRecord::Path)
            );
            let event = Event::Exec(Image { exe: path, cwd: b"/", argv: b"" });
            assert_eq!(
                Record::decode(&bytes_of(&Record { pid: 1, time_ns: 1, event })),
                Err(BadRecord::Path)
            );
        }
        let event = Event::Exec(Image { exe: b"/a", cwd: b"", argv: b"a" });
        assert_eq!(Record::decode(&bytes_of(&Record { pid: 1, time_ns: 1, event })), Err(BadRecord::Value));
    }
}
