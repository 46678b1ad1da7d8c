//! Something mounted in a namespace of one's own: a name means another file than outside.
// file: a.txt
// file: d/b.txt
// dir: e
// complete: no
#include "nasty.h"
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>

int main(void) {
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0) CANNOT_RUN();
    MUST(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
    MUST(mount("d", "e", NULL, MS_BIND, NULL) == 0);
    MUST(open("e/b.txt", O_RDONLY) >= 0);
    return 0;
}
