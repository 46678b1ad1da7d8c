//! Extended attributes are state of a file too.
// file: written
// file: asked
// file: listed
// file: removed
// expects: write {dir}/written
// expects: stat {dir}/asked
// expects: stat {dir}/listed
// expects: write {dir}/removed
// expects-not: write {dir}/asked
#include "nasty.h"
#include <errno.h>
#include <sys/xattr.h>

int main(void) {
    char buffer[64];
    if (setxattr("written", "user.a", "1", 1, 0) < 0 && errno == EOPNOTSUPP) CANNOT_RUN();
    MUST(getxattr("asked", "user.a", buffer, sizeof buffer) < 0 && errno == ENODATA);
    MUST(listxattr("listed", buffer, sizeof buffer) >= 0);
    MUST(setxattr("removed", "user.a", "1", 1, 0) == 0 && removexattr("removed", "user.a") == 0);
    return 0;
}
