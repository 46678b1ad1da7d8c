//! A path of 4095 bytes, the longest there is, and one that is too long by one.
// expects: write {dir}/{long}
#include "nasty.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

int main(void) {
    char path[PATH_MAX + 1];
    MUST(getcwd(path, PATH_MAX) != NULL);
    strcat(path, "/");
    size_t base = strlen(path), rest = PATH_MAX - 1 - base;
    for (size_t place = 1; place <= rest; place++) {
        int ends = place % 200 == 0 && place < rest;
        if (ends) {
            path[base + place - 1] = 0;
            MUST(mkdir(path, 0755) == 0);
        }
        path[base + place - 1] = ends ? '/' : 'x';
    }
    path[PATH_MAX - 1] = 0;
    MUST(strlen(path) == 4095 && creat(path, 0644) >= 0);
    strcat(path, "x");
    MUST(creat(path, 0644) < 0 && errno == ENAMETOOLONG);
    return 0;
}
