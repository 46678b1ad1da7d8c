//! System calls by inline assembly, with rubbish in the registers that they don't use.
// file: a.txt
// file: b.txt
// expects: read {dir}/a.txt
// expects: stat {dir}/b.txt
#include "nasty.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#ifdef __aarch64__
static long call(long number, long a, const void *b, long c, long d) {
    register long eighth __asm__("x8") = number;
    register long first __asm__("x0") = a;
    register const void *second __asm__("x1") = b;
    register long third __asm__("x2") = c;
    register long fourth __asm__("x3") = d;
    register long fifth __asm__("x4") = -1;
    register long sixth __asm__("x5") = 0x123456789abcdef;
    __asm__ volatile("svc 0"
                     : "+r"(first)
                     : "r"(eighth), "r"(second), "r"(third), "r"(fourth), "r"(fifth), "r"(sixth)
                     : "memory");
    return first;
}
#else
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
#endif

int main(void) {
    struct stat status;
    MUST(call(SYS_openat, AT_FDCWD, "a.txt", O_RDONLY, 0) >= 0);
    MUST(call(SYS_newfstatat, AT_FDCWD, "b.txt", (long)&status, 0) == 0);
    return 0;
}
