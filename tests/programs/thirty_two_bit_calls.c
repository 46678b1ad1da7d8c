//! System calls of the 32-bit kind in a 64-bit program: numbers mean something else there.
// only: x86_64
// build: -static -no-pie
// file: a.txt
// file: d/b.txt
// expects: read {dir}/a.txt
// expects: list {dir}/d
// expects: write {dir}/d/c.txt
// strace: blind
#include "nasty.h"
#include <fcntl.h>

static const char read_path[] = "a.txt", folder[] = "d", write_path[] = "d/c.txt";

static int narrow(long number, const void *first, long second, long third) {
    // The upper halves of registers are not looked at.
    long high = 0x1234567800000000, result;
    __asm__ volatile("int $0x80"
                     : "=a"(result)
                     : "a"(number), "b"(high | (long)first), "c"(high | second), "d"(high | third)
                     : "memory", "r8", "r9", "r10", "r11");
    return (int)result;
}

int main(void) {
    static char entry[512];
    // 5 is open, 8 is creat, 89 is the old readdir.
    int result = narrow(5, read_path, O_RDONLY, 0);
    if (result == -38 || result == -14) CANNOT_RUN();
    MUST(result >= 0);
    int fd = narrow(5, folder, O_RDONLY | O_DIRECTORY, 0);
    MUST(fd >= 0 && narrow(89, (void *)(long)fd, (long)entry, 1) == 1);
    MUST(narrow(8, write_path, 0644, 0) >= 0);
    return 0;
}
