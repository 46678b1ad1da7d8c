//! Metadata asked for in every way; what is open already is not asked for by name.
// file: stat
// file: access
// file: faccessat
// file: statx
// file: euidaccess
// file: statfs
// file: d/fstatat
// file: open
// file: real/a.txt
// link: link -> real
// link: dangling -> nowhere
// expects: stat {dir}/stat
// expects: stat {dir}/link
// expects: stat {dir}/dangling
// expects: missing {dir}/dangling
// expects: stat {dir}/access
// expects: stat {dir}/faccessat
// expects: stat {dir}/euidaccess
// expects: stat {dir}/statx
// expects: stat {dir}/statfs
// expects: stat {dir}/d/fstatat
// expects: missing {dir}/d/nothing
// expects: read {dir}/open
// expects-not: stat {dir}/open
// expects: stat {dir}/link
// expects-not: read {dir}/stat
#include "nasty.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/vfs.h>

int main(void) {
    struct stat status;
    struct statx extended;
    struct statfs system;
    char buffer[PATH_MAX];
    MUST(stat("stat", &status) == 0);
    MUST(lstat("link", &status) == 0 && S_ISLNK(status.st_mode));
    MUST(stat("dangling", &status) < 0 && errno == ENOENT);
    MUST(access("access", R_OK) == 0);
    MUST(faccessat(AT_FDCWD, "faccessat", R_OK, AT_EACCESS) == 0);
    MUST(euidaccess("euidaccess", R_OK) == 0);
    MUST(statx(AT_FDCWD, "statx", 0, STATX_ALL, &extended) == 0);
    MUST(statfs("statfs", &system) == 0);
    int dir = open("d", O_PATH);
    MUST(dir >= 0 && fstatat(dir, "fstatat", &status, AT_SYMLINK_NOFOLLOW) == 0);
    MUST(fstatat64(dir, "nothing", (struct stat64 *)&status, 0) < 0);
    int fd = open("open", O_RDONLY);
    MUST(fd >= 0 && fstat(fd, &status) == 0 && fstatat(fd, "", &status, AT_EMPTY_PATH) == 0);
    MUST(readlink("dangling", buffer, sizeof buffer) == 7);
    MUST(realpath("link/a.txt", buffer) != NULL);
    return 0;
}
