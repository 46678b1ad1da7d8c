//! A program without any libc, that begins at _start.
// build: -static -nostdlib -ffreestanding
// file: a.txt
// expects: read {dir}/a.txt
// expects: missing {dir}/nothing
#include <fcntl.h>
#include <sys/syscall.h>

static long call(long number, long a, const char *b, long c) {
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
}

void _start(void) {
    long opened = call(SYS_openat, AT_FDCWD, "a.txt", O_RDONLY);
    long missing = call(SYS_openat, AT_FDCWD, "nothing", O_RDONLY);
    call(SYS_exit_group, opened >= 0 && missing < 0 ? 0 : 1, 0, 0);
    __builtin_unreachable();
}
