//! Programs that give privileges to whoever executes them, and whether the capture keeps them from doing so.

use std::ffi::CStr;
use std::fs;

/// Whether what this process starts traced gets no privileges by executing a program, though it would untraced: a filter
/// of an ordinary user demands `no_new_privs` (seccomp(2)), and the kernel heeds it for ptrace, too (execve(2)).
pub(super) fn are_held_back() -> bool {
    /// CAP_SYS_ADMIN of linux/capability.h.
    const ADMINISTRATOR: u64 = 1 << 21;
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let capabilities = field("CapEff:").and_then(|digits| u64::from_str_radix(digits, 16).ok());
    let is_ordinary = capabilities.is_some_and(|held| held & ADMINISTRATOR == 0);
    is_ordinary && field("NoNewPrivs:") != Some("1")
}

/// Whether executing the file at `path` makes another user or group of an ordinary user, or gives capabilities.
pub(super) fn gives_privileges(path: &[u8], stat: &libc::stat) -> bool {
    let (user, group) = (nix::unistd::geteuid(), nix::unistd::getegid());
    // Without the group's right to execute, S_ISGID is a mark for mandatory locks.
    let of_group = libc::S_ISGID | libc::S_IXGRP;
    let is_users = stat.st_mode & libc::S_ISUID != 0 && stat.st_uid != user.as_raw();
    let is_groups = stat.st_mode & of_group == of_group && stat.st_gid != group.as_raw();
    is_users || is_groups || has_capabilities(path)
}

fn has_capabilities(path: &[u8]) -> bool {
    const NAME: &CStr = c"security.capability";
    let Ok(path) = std::ffi::CString::new(path) else { return false };
    // SAFETY: both are C strings; no room is given, so nothing is written.
    unsafe { libc::getxattr(path.as_ptr(), NAME.as_ptr(), std::ptr::null_mut(), 0) > 0 }
}
