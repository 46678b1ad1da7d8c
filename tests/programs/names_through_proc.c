//! Files named by way of /proc/self, which means something else in every process.
// file: a.txt
// file: d/b.txt
// file: d/c.txt
// expects: read {dir}/a.txt
// expects: read {dir}/d/b.txt
// expects: write {dir}/out
// expects: read {dir}/d/c.txt
#include "nasty.h"
#include <fcntl.h>

int main(void) {
    char path[64];
    MUST(open("/proc/self/cwd/a.txt", O_RDONLY) >= 0);
    MUST(creat("/proc/self/cwd/out", 0644) >= 0);
    int dir = open("d", O_PATH);
    snprintf(path, sizeof path, "/proc/self/fd/%d/b.txt", dir);
    MUST(dir >= 0 && open(path, O_RDONLY) >= 0);
    int file = open("d/c.txt", O_PATH);
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    MUST(file >= 0 && open(path, O_RDONLY) >= 0);
    return 0;
}
