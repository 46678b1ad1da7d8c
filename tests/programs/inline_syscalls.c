//! System calls by inline assembly, with rubbish in the registers that they don't use.
// file: a.txt
// file: b.txt
// expects: read {dir}/a.txt
// expects: stat {dir}/b.txt
#include "nasty.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static long call(long number, long a, const void *b, long c, long d) {
    register long fourth __asm__("r10") = d;
    register long fifth __asm__("r8") = -1;
    register long sixth __asm__("r9") = 0x123456789abcdef;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth), "r"(fifth), "r"(sixth)
                     : "rcx", "r11", "memory");
    return result;
}

int main(void) {
    struct stat status;
    MUST(call(SYS_openat, AT_FDCWD, "a.txt", O_RDONLY, 0) >= 0);
    MUST(call(SYS_newfstatat, AT_FDCWD, "b.txt", (long)&status, 0) == 0);
    return 0;
}
