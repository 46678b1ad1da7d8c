//! Length, mode, owner and times changed, by name and by descriptor.
// file: truncate
// file: ftruncate
// file: chmod
// file: fchmod
// file: fchmodat
// file: chown
// file: utimensat
// file: futimens
// file: utime
// file: untouched
// expects: write {dir}/truncate
// expects: write {dir}/ftruncate
// expects: write {dir}/chmod
// expects: write {dir}/fchmod
// expects: write {dir}/fchmodat
// expects: write {dir}/chown
// expects: write {dir}/utimensat
// expects: write {dir}/futimens
// expects: write {dir}/utime
// expects-not: write {dir}/untouched
// expects: missing {dir}/nothing
#include "nasty.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <utime.h>

int main(void) {
    int fd;
    MUST(truncate("truncate", 1) == 0);
    MUST((fd = open("ftruncate", O_WRONLY)) >= 0 && ftruncate(fd, 1) == 0);
    MUST(chmod("chmod", 0600) == 0);
    MUST((fd = open("fchmod", O_RDONLY)) >= 0 && fchmod(fd, 0600) == 0);
    MUST(fchmodat(AT_FDCWD, "fchmodat", 0600, 0) == 0);
    MUST(chown("chown", getuid(), getgid()) == 0);
    MUST(utimensat(AT_FDCWD, "utimensat", NULL, 0) == 0);
    MUST((fd = open("futimens", O_RDONLY)) >= 0 && futimens(fd, NULL) == 0);
    MUST(utime("utime", NULL) == 0);
    MUST(open("untouched", O_RDONLY) >= 0);
    MUST(chmod("nothing", 0600) < 0);
    return 0;
}
