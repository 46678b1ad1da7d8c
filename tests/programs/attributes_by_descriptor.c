//! The extended attributes of an open file are asked for, without its name.
// file: asked
// file: listed
// expects: stat {dir}/asked
// expects: stat {dir}/listed
#include "nasty.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/xattr.h>

int main(void) {
    char buffer[64];
    int asked = open("asked", O_WRONLY), listed = open("listed", O_WRONLY);
    if (fgetxattr(asked, "user.a", buffer, sizeof buffer) < 0 && errno == EOPNOTSUPP) CANNOT_RUN();
    MUST(fgetxattr(asked, "user.a", buffer, sizeof buffer) < 0 && errno == ENODATA);
    MUST(flistxattr(listed, buffer, sizeof buffer) >= 0);
    return 0;
}
