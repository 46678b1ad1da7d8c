//! Children that never execute anything; the parent has reported the same paths before.
// file: a.txt
// file: b.txt
// file: c.txt
// file: d.txt
// expects: read {dir}/a.txt
// expects: read {dir}/b.txt
// expects: read {dir}/c.txt
// expects: write {dir}/out
// expects: read {dir}/d.txt
#include "nasty.h"
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static void wait_for(pid_t child) {
    int status;
    MUST(child > 0 && waitpid(child, &status, 0) == child && status == 0);
}

int main(void) {
    MUST(open("a.txt", O_RDONLY) >= 0);
    pid_t child = fork();
    if (child == 0) {
        MUST(open("b.txt", O_RDONLY) >= 0 && open("a.txt", O_RDONLY) >= 0);
        pid_t grandchild = fork();
        if (grandchild == 0) _exit(open("c.txt", O_RDONLY) >= 0 && creat("out", 0644) >= 0 ? 0 : 1);
        wait_for(grandchild);
        _exit(0);
    }
    wait_for(child);
    // A fork that libc knows nothing of.
#ifdef SYS_fork
    child = syscall(SYS_fork);
#else
    child = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
#endif
    if (child == 0) _exit(open("d.txt", O_RDONLY) >= 0 ? 0 : 1);
    wait_for(child);
    return 0;
}
