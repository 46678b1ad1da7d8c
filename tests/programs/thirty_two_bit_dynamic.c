//! A 32-bit program with a loader of its own kind, which must not complain of a library of the other.
// compiler: i686-linux-gnu-gcc
// build: -Wl,--dynamic-linker=/usr/i686-linux-gnu/lib/ld-linux.so.2 -Wl,-rpath,/usr/i686-linux-gnu/lib
// file: a.txt
// expects: read {dir}/a.txt
// expects: read /usr/i686-linux-gnu/lib/libc.so.6
// expects: exec /usr/i686-linux-gnu/lib/ld-linux.so.2
// strace: blind
#include "nasty.h"
#include <fcntl.h>

int main(void) {
    MUST(open("a.txt", O_RDONLY) >= 0);
    return 0;
}
