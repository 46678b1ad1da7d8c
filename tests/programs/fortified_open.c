//! Flags that the compiler can't see, so that the checking variants of open are called.
// build: -O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
// file: a.txt
// file: b.txt
// expects: read {dir}/a.txt
// expects: read {dir}/b.txt
#include "nasty.h"
#include <fcntl.h>

int main(int count, char **arguments) {
    int flags = count > 100 ? O_CLOEXEC : O_RDONLY;
    MUST(open("a.txt", flags) >= 0);
    MUST(openat(AT_FDCWD, "b.txt", flags) >= 0);
    return arguments[0] == NULL;
}
