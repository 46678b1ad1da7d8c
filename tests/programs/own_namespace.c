//! A user and a mount namespace of one's own, in which nothing is mounted: names mean what they meant.
// file: a.txt
// expects: read {dir}/a.txt
#include "nasty.h"
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>

int main(void) {
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0) CANNOT_RUN();
    MUST(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
    MUST(open("a.txt", O_RDONLY) >= 0);
    return 0;
}
