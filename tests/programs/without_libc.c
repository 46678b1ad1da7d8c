//! A program without any libc, that begins at _start.
// build: -static -nostdlib -ffreestanding
// file: a.txt
// expects: read {dir}/a.txt
// expects: missing {dir}/nothing
#include <fcntl.h>
#include <sys/syscall.h>

#ifdef __aarch64__
static long call(long number, long a, const char *b, long c) {
    register long eighth __asm__("x8") = number;
    register long first __asm__("x0") = a;
    register const char *second __asm__("x1") = b;
    register long third __asm__("x2") = c;
    __asm__ volatile("svc 0" : "+r"(first) : "r"(eighth), "r"(second), "r"(third) : "memory");
    return first;
}
#else
static long call(long number, long a, const char *b, long c) {
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
}
#endif

void _start(void) {
    long opened = call(SYS_openat, AT_FDCWD, "a.txt", O_RDONLY);
    long missing = call(SYS_openat, AT_FDCWD, "nothing", O_RDONLY);
    call(SYS_exit_group, opened >= 0 && missing < 0 ? 0 : 1, 0, 0);
    __builtin_unreachable();
}
