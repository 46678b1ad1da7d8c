//! A tree walked by descriptors, each directory opened relative to the one above, none by its full name.
// file: 1/2/3/4/5/6/7/8/9/leaf
// expects: list {dir}
// expects: list {dir}/1/2/3
// expects: list {dir}/1/2/3/4/5/6/7/8/9
// expects: read {dir}/1/2/3/4/5/6/7/8/9/leaf
// expects: stat {dir}/1/2/3/4/5/6/7/8/9/leaf
#include "nasty.h"
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static void walk(int parent, const char *name) {
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    DIR *dir = fdopendir(fd);
    MUST(fd >= 0 && dir != NULL);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        struct stat status;
        if (entry->d_name[0] == '.') continue;
        MUST(fstatat(fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0);
        if (S_ISDIR(status.st_mode)) walk(fd, entry->d_name);
        else MUST(openat(fd, entry->d_name, O_RDONLY) >= 0);
    }
    closedir(dir);
}

int main(void) {
    walk(AT_FDCWD, ".");
    return 0;
}
