//! Directories enumerated by opendir, scandir, fdopendir and the bare system call.
// file: a/1
// file: b/1
// file: c/1
// file: d/1
// dir: never
// expects: list {dir}/a
// expects: list {dir}/b
// expects: list {dir}/c
// expects: list {dir}/d
// expects-not: read {dir}/c
// expects-not: list {dir}/never
// expects: missing {dir}/nothing
#include "nasty.h"
#include <dirent.h>
#include <fcntl.h>
#include <sys/syscall.h>

int main(void) {
    DIR *dir = opendir("a");
    MUST(dir != NULL);
    while (readdir(dir) != NULL) {
    }
    closedir(dir);
    struct dirent **entries;
    MUST(scandir("b", &entries, NULL, alphasort) == 3);
    int fd = open("c", O_RDONLY);
    MUST(fd >= 0 && (dir = fdopendir(fd)) != NULL && readdir(dir) != NULL);
    char buffer[4096];
    fd = open("d", O_RDONLY | O_DIRECTORY);
    MUST(fd >= 0 && syscall(SYS_getdents64, fd, buffer, sizeof buffer) > 0);
    MUST(open("never", O_RDONLY | O_DIRECTORY) >= 0);
    MUST(opendir("nothing") == NULL);
    return 0;
}
