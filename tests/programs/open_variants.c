//! Every way to open a file, in every mode, and some that fail.
// file: a.txt
// file: appended
// file: both
// file: truncated
// dir: d
// link: l -> a.txt
// expects: read {dir}/a.txt
// expects: read {dir}/both
// expects: write {dir}/both
// expects: write {dir}/created
// expects: write {dir}/created64
// expects: write {dir}/exclusive
// expects: write {dir}/appended
// expects: write {dir}/truncated
// expects-not: read {dir}/truncated
// expects: stat {dir}/d
// expects-not: list {dir}/d
// expects-not: read {dir}/d
// expects: missing {dir}/nothing
// expects: missing {dir}/a.txt/below
// expects: stat {dir}/l
// expects-not: read {dir}/l
// expects: missing {dir}/nothing2
#include "nasty.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>

static void opens(int fd) {
    MUST(fd >= 0);
    close(fd);
}

int main(void) {
    opens(open("a.txt", O_RDONLY));
    opens(open64("both", O_RDWR));
    opens(creat("created", 0644));
    opens(creat64("created64", 0644));
    opens(open("exclusive", O_WRONLY | O_CREAT | O_EXCL, 0600));
    MUST(open("exclusive", O_WRONLY | O_CREAT | O_EXCL, 0600) < 0 && errno == EEXIST);
    opens(openat(AT_FDCWD, "appended", O_WRONLY | O_APPEND));
    opens(openat(AT_FDCWD, "truncated", O_WRONLY | O_TRUNC));
    opens(open("d", O_RDONLY | O_DIRECTORY));
    opens(open("d", O_RDONLY));
    MUST(open("nothing", O_RDONLY) < 0 && errno == ENOENT);
    MUST(open("a.txt/below", O_RDONLY) < 0 && errno == ENOTDIR);
    MUST(open("l", O_RDONLY | O_NOFOLLOW) < 0 && errno == ELOOP);
    opens(open("l", O_PATH | O_NOFOLLOW));
    struct open_how how = {.flags = O_RDONLY};
    MUST(syscall(SYS_openat2, AT_FDCWD, "nothing2", &how, sizeof how) < 0 && errno == ENOENT);
    return 0;
}
