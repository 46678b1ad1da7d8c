//! A child process that shares its parent's working directory and descriptors, and changes both.
// file: d/a.txt
// file: e/b.txt
// file: a.txt
// expects: read {dir}/d/a.txt
// expects: read {dir}/e/b.txt
// expects-not: any {dir}/a.txt
#include "nasty.h"
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

int main(void) {
    // The number that the child will open the directory at.
    int dir = dup(0);
    MUST(dir >= 0 && close(dir) == 0);
    long child = syscall(SYS_clone, CLONE_FS | CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
    if (child == 0) {
        int opened = open("e", O_RDONLY | O_DIRECTORY);
        _exit(opened == dir && chdir("d") == 0 ? 0 : 1);
    }
    int status;
    MUST(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    MUST(open("a.txt", O_RDONLY) >= 0);
    MUST(openat(dir, "b.txt", O_RDONLY) >= 0);
    return 0;
}
