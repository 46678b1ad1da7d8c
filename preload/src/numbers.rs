//! The number of each watched call, under the name that the table uses.
//!
//! A line that is missing here, or is not a call of this architecture, is a compile error where the table is expanded.

#[cfg_attr(
    not(target_arch = "x86_64"),
    allow(unused_imports, reason = "only `raw_call.rs` names them all")
)]
pub(crate) use linux_raw_sys::general::{
    __NR_chdir as chdir, __NR_chroot as chroot, __NR_connect as connect, __NR_execve as execve,
    __NR_execveat as execveat, __NR_exit_group as exit_group, __NR_faccessat as faccessat,
    __NR_faccessat2 as faccessat2, __NR_fchdir as fchdir, __NR_fchmod as fchmod, __NR_fchmodat as fchmodat,
    __NR_fchmodat2 as fchmodat2, __NR_fchown as fchown, __NR_fchownat as fchownat,
    __NR_fremovexattr as fremovexattr, __NR_fsetxattr as fsetxattr, __NR_getdents64 as getdents64,
    __NR_getxattr as getxattr, __NR_inotify_add_watch as inotify_add_watch,
    __NR_io_uring_setup as io_uring_setup, __NR_lgetxattr as lgetxattr, __NR_linkat as linkat,
    __NR_listxattr as listxattr, __NR_llistxattr as llistxattr, __NR_lremovexattr as lremovexattr,
    __NR_lsetxattr as lsetxattr, __NR_mkdirat as mkdirat, __NR_mknodat as mknodat, __NR_mount as mount,
    __NR_move_mount as move_mount, __NR_name_to_handle_at as name_to_handle_at,
    __NR_newfstatat as newfstatat, __NR_open_by_handle_at as open_by_handle_at, __NR_open_tree as open_tree,
    __NR_openat as openat, __NR_openat2 as openat2, __NR_pivot_root as pivot_root, __NR_read as read,
    __NR_readlinkat as readlinkat, __NR_readv as readv, __NR_removexattr as removexattr,
    __NR_renameat as renameat, __NR_renameat2 as renameat2, __NR_setns as setns, __NR_setxattr as setxattr,
    __NR_statfs as statfs, __NR_statx as statx, __NR_symlinkat as symlinkat, __NR_truncate as truncate,
    __NR_umount2 as umount2, __NR_unlinkat as unlinkat, __NR_unshare as unshare, __NR_utimensat as utimensat,
};

#[cfg(target_arch = "x86_64")]
pub(crate) use linux_raw_sys::general::{
    __NR_access as access, __NR_chmod as chmod, __NR_chown as chown, __NR_creat as creat,
    __NR_futimesat as futimesat, __NR_getdents as getdents, __NR_lchown as lchown, __NR_link as link,
    __NR_lstat as lstat, __NR_mkdir as mkdir, __NR_mknod as mknod, __NR_open as open,
    __NR_readlink as readlink, __NR_rename as rename, __NR_rmdir as rmdir, __NR_stat as stat,
    __NR_symlink as symlink, __NR_unlink as unlink, __NR_utime as utime, __NR_utimes as utimes,
};
