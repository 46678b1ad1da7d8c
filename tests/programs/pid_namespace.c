//! A pid namespace of one's own: the process numbers that it knows are not those that others see.
// file: a.txt
// file: b.txt
// expects: read {dir}/a.txt
// expects: read {dir}/b.txt
// expects: write {dir}/c.txt
#include "nasty.h"
#include <fcntl.h>
#include <sched.h>
#include <sys/wait.h>

int main(void) {
    if (unshare(CLONE_NEWPID) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWPID) < 0) CANNOT_RUN();
    int child = fork(), status;
    if (child == 0) {
        MUST(getpid() == 1);
        MUST(open("a.txt", O_RDONLY) >= 0);
        if (fork() == 0) {
            MUST(open("b.txt", O_RDONLY) >= 0);
            MUST(creat("c.txt", 0644) >= 0);
            _exit(0);
        }
        wait(&status);
        _exit(status != 0);
    }
    MUST(waitpid(child, &status, 0) == child && status == 0);
    return 0;
}
