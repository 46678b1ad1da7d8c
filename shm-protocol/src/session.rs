//! What a process must find to report: where the ring is and the pass through the net, in one environment
//! variable.

/// The environment variable that names the session to the preload library.
pub const VARIABLE: &str = "TRACERUN_SESSION";

/// A session as a traced process sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session<'a> {
    /// The pass: system calls that carry it in their sixth argument register are let through by the filter
    /// without a notification. 0 when there is no filter, so that the library alone must see everything.
    pub cookie: u64,
    /// Path at which the ring can be opened, such as `/proc/4711/fd/5`.
    pub ring: &'a [u8],
}

/// Length of the cookie in the variable, in hexadecimal digits.
const DIGITS: usize = 16;

impl<'a> Session<'a> {
    /// Reads the value of [`VARIABLE`]: sixteen hexadecimal digits, a colon, an absolute path.
    #[must_use]
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let (digits, rest) = value.split_at_checked(DIGITS)?;
        let ring = rest.strip_prefix(b":")?;
        if ring.first() != Some(&b'/') {
            return None;
        }
        let mut cookie = 0_u64;
        for &digit in digits {
            cookie = cookie << 4 | u64::from((digit as char).to_digit(16)?);
        }
        Some(Self { cookie, ring })
    }

    /// The head of the value of [`VARIABLE`], to be followed by the path of the ring.
    #[must_use]
    pub fn head(cookie: u64) -> [u8; DIGITS + 1] {
        let mut head = [b':'; DIGITS + 1];
        for (place, byte) in head.iter_mut().take(DIGITS).enumerate() {
            *byte = b"0123456789abcdef"[(cookie >> (60 - 4 * place) & 15) as usize];
        }
        head
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_reads_back_what_was_written() {
        for cookie in [0, 1, 0x0123_4567_89ab_cdef, u64::MAX] {
            let value = [&Session::head(cookie)[..], b"/proc/1/fd/3"].concat();
            assert_eq!(Session::parse(&value), Some(Session { cookie, ring: b"/proc/1/fd/3" }));
        }
    }

    #[test]
    fn anything_else_is_no_session() {
        for value in
            ["", "0", "0000000000000000", "0000000000000000:", "000000000000000g:/a", "0000000000000000:a"]
        {
            assert_eq!(Session::parse(value.as_bytes()), None, "{value}");
        }
    }
}
