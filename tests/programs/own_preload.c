//! A program with a preloaded library of its own, which stays the first.
// file: a.txt
// expects: read {dir}/a.txt
// expects: read *libm.so*
#include "nasty.h"
#include <fcntl.h>
#include <string.h>

int main(int count, char **arguments) {
    (void)count;
    const char *preload = getenv("LD_PRELOAD");
    if (arguments[1]) {
        MUST(preload && strncmp(preload, "libm.so.6", 9) == 0);
        MUST(open("a.txt", O_RDONLY) >= 0);
        return 0;
    }
    // As `env LD_PRELOAD=libm.so.6` does.
    MUST(setenv("LD_PRELOAD", "libm.so.6", 1) == 0);
    execl("/proc/self/exe", "again", "again", (char *)0);
    MUST(!"executed");
}
