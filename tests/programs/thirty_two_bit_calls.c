//! System calls of the 32-bit kind in a 64-bit program: numbers mean something else there.
// build: -static -no-pie
// file: a.txt
// complete: no
#include "nasty.h"
#include <fcntl.h>

static const char path[] = "a.txt";

int main(void) {
    // open is 5 there.
    int result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(5), "b"((int)(long)path), "c"(O_RDONLY), "d"(0) : "memory", "r8", "r9", "r10", "r11");
    if (result == -38 || result == -14) CANNOT_RUN();
    return result < 0;
}
