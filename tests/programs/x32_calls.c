//! System calls of x32: those of a 64-bit program with a bit in the number, where the kernel has them.
// only: x86_64
// build: -static
// file: a.txt
// expects: read {dir}/a.txt
// strace: blind
#include "nasty.h"
#include <errno.h>
#include <fcntl.h>

int main(void) {
    long fd = syscall(0x40000000 + 2, "a.txt", O_RDONLY);
    // Few kernels have them.
    if (fd < 0 && errno == ENOSYS) fd = open("a.txt", O_RDONLY);
    MUST(fd >= 0);
    return 0;
}
