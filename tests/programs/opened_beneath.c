//! openat2 with RESOLVE_IN_ROOT: a name, and links on the way, begin at the descriptor.
// file: d/real/a.txt
// file: real/a.txt
// link: d/l -> /../real
// strace: blind
// expects: read {dir}/d/real/a.txt
// expects: read {dir}/d/l
// expects: missing {dir}/d/none
// expects-not: any {dir}/real/a.txt
// expects-not: any /none
#include "nasty.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>

int main(void) {
    int folder = open("d", O_RDONLY | O_DIRECTORY);
    MUST(folder >= 0);
    struct open_how how = {.flags = O_RDONLY, .resolve = RESOLVE_IN_ROOT};
    long opened = syscall(SYS_openat2, folder, "/l/a.txt", &how, sizeof how);
    if (opened < 0 && errno == ENOSYS) CANNOT_RUN();
    MUST(opened >= 0);
    MUST(syscall(SYS_openat2, folder, "../../none", &how, sizeof how) < 0);
    return 0;
}
