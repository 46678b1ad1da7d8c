//! After chroot, names mean something else.
// file: d/a.txt
// complete: no
#include "nasty.h"
#include <errno.h>
#include <fcntl.h>

int main(void) {
    if (chroot("d") < 0 && errno == EPERM) CANNOT_RUN();
    MUST(open("/a.txt", O_RDONLY) >= 0);
    return 0;
}
