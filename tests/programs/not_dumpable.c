//! A process whose memory others may not read, unless they are privileged.
// file: a.txt
// complete: maybe
// expects: read {dir}/a.txt
#include "nasty.h"
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

int main(void) {
    MUST(prctl(PR_SET_DUMPABLE, 0) == 0);
    MUST(syscall(SYS_openat, AT_FDCWD, "a.txt", O_RDONLY) >= 0);
    return 0;
}
