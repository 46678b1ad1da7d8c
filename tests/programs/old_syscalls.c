//! System calls that only old ABIs have, by syscall(2).
// only: x86_64
// file: b.txt
// file: c.txt
// file: gone
// file: d/1
// expects: read {dir}/b.txt
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
    MUST(syscall(SYS_open, "b.txt", O_RDONLY) >= 0);
    MUST(syscall(SYS_stat, "c.txt", &status) == 0);
    int dir = syscall(SYS_open, "d", O_RDONLY | O_DIRECTORY);
    MUST(dir >= 0 && syscall(SYS_getdents, dir, buffer, sizeof buffer) > 0);
    MUST(syscall(SYS_unlink, "gone") == 0);
    MUST(syscall(SYS_mkdir, "made", 0755) == 0);
    return 0;
}
