//! A file that is made without a name and gets one later, by its descriptor.
// dir: d
// expects: write {dir}/named
// expects: write {dir}/d/named
#include "nasty.h"
#include <errno.h>
#include <fcntl.h>

int main(void) {
    int fd = open(".", O_TMPFILE | O_WRONLY, 0644);
    if (fd < 0 && errno == EOPNOTSUPP) CANNOT_RUN();
    MUST(fd >= 0 && write(fd, "x", 1) == 1);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    MUST(linkat(AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW) == 0);
    int dir = open("d", O_PATH);
    MUST(dir >= 0 && linkat(AT_FDCWD, "named", dir, "named", 0) == 0);
    return 0;
}
