//! System calls by syscall(2), which no wrapper sees.
// file: a.txt
// file: c.txt
// file: gone
// file: d/1
// expects: read {dir}/a.txt
// expects: stat {dir}/c.txt
// expects: list {dir}/d
// expects: delete {dir}/gone
// expects: write {dir}/made
#include "nasty.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

int main(void) {
    struct stat status;
    char buffer[4096];
    MUST(syscall(SYS_openat, AT_FDCWD, "a.txt", O_RDONLY) >= 0);
    MUST(syscall(SYS_newfstatat, AT_FDCWD, "c.txt", &status, 0) == 0);
    int dir = syscall(SYS_openat, AT_FDCWD, "d", O_RDONLY | O_DIRECTORY);
    MUST(dir >= 0 && syscall(SYS_getdents64, dir, buffer, sizeof buffer) > 0);
    MUST(syscall(SYS_unlinkat, AT_FDCWD, "gone", 0) == 0);
    MUST(syscall(SYS_mkdirat, AT_FDCWD, "made", 0755) == 0);
    return 0;
}
