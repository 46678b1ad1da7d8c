//! A working directory too deep for any path: what is opened there is either seen, or known to be unseen.
// complete: maybe
// strace: blind
// expects: write *xxxx/out
#include "nasty.h"
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

int main(void) {
    char name[201];
    memset(name, 'x', 200);
    name[200] = 0;
    for (int depth = 0; depth < 25; depth++) MUST(mkdir(name, 0755) == 0 && chdir(name) == 0);
    MUST(creat("out", 0644) >= 0);
    return 0;
}
