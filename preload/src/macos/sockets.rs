//! Where sockets reach to: a socket in the file system, or a host.

use core::ffi::CStr;

use shm_protocol::access::{Before, Outcome};
use shm_protocol::calls::Call;
use shm_protocol::record::Event;

use super::observe;
use super::session::Guest;
use super::system;

const AF_UNIX: u8 = 1;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 30;

/// The longest `struct sockaddr` that is looked at (sys/un.h: `SOCK_MAXADDRLEN`).
const LONGEST: usize = 255;

/// A call has reached, or tried to reach, the address at `address`, which the kernel has read.
pub(crate) fn reached(guest: &'static Guest, call: Call, address: u64, length: u64) {
    let mut bytes = [0_u8; LONGEST + 1];
    let length = (length as u32 as usize).min(LONGEST);
    if address == 0 || length < 2 {
        return;
    }
    let from: *const u8 = core::ptr::with_exposed_provenance(address as usize);
    // SAFETY: the kernel has read so many bytes there in the call that is just over; the buffer is as long.
    unsafe { bytes.as_mut_ptr().copy_from_nonoverlapping(from, length) };
    // The first byte is a length that nobody minds (sys/socket.h).
    let [_, family, rest @ ..] = &bytes;
    let binds = call == Call::bind;
    match *family {
        AF_UNIX => {
            let Ok(name) = CStr::from_bytes_until_nul(rest) else { return };
            let path = name.as_ptr() as u64;
            if binds {
                observe::made(guest, call, path);
            } else {
                let there = system::before_at(observe::CWD, path, true) != Before::Absent;
                observe::looked(guest, call, path, if there { Outcome::Done } else { Outcome::Absent });
            }
        }
        AF_INET | AF_INET6 if !binds => {
            let mut text = Text { bytes: [0; 64], length: 0 };
            text.host(*family, rest);
            if let Some(host) = text.bytes.get(..text.length) {
                guest.send(guest.process(), system::now_ns(), Event::Network(host));
            }
        }
        _ => {}
    }
}

/// A message was sent, perhaps to an address of its own: `struct msghdr` begins with that and its length.
pub(crate) fn sent(guest: &'static Guest, call: Call, message: u64) {
    if message != 0 {
        let header: *const [u64; 2] = core::ptr::with_exposed_provenance(message as usize);
        // SAFETY: the kernel has read it in the call that is just over.
        let [address, length] = unsafe { header.read_unaligned() };
        reached(guest, call, address, u64::from(length as u32));
    }
}

/// An address as people write it.
struct Text {
    bytes: [u8; 64],
    length: usize,
}

impl Text {
    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = byte;
            self.length = self.length.wrapping_add(1);
        }
    }

    fn number(&mut self, number: u32, base: u32) {
        let mut divisor = 1_u32;
        while number / divisor >= base {
            divisor = divisor.wrapping_mul(base);
        }
        while divisor > 0 {
            let digit = (number / divisor % base) as u8;
            self.push(if digit < 10 { b'0' } else { b'a' - 10 }.wrapping_add(digit));
            divisor /= base;
        }
    }

    /// `rest` is what comes behind the family.
    fn host(&mut self, family: u8, rest: &[u8]) {
        let &[p0, p1, ..] = rest else { return };
        if family == AF_INET {
            for (index, byte) in rest.iter().skip(2).take(4).enumerate() {
                if index > 0 {
                    self.push(b'.');
                }
                self.number(u32::from(*byte), 10);
            }
        } else {
            self.push(b'[');
            let (groups, _) = rest.get(6..22).unwrap_or_default().as_chunks::<2>();
            for (index, group) in groups.iter().enumerate() {
                if index > 0 {
                    self.push(b':');
                }
                self.number(u32::from(u16::from_be_bytes(*group)), 16);
            }
            self.push(b']');
        }
        self.push(b':');
        self.number(u32::from(u16::from_be_bytes([p0, p1])), 10);
    }
}
