// Relative names, and directories that change under them. Expected: `read` of d/1 to d/4, e/5, of d2/6 after a rename, and
// of each rN/file, whose directory takes the inode of the one removed before it.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHECK(condition) do { if (!(condition)) { perror(#condition); exit(1); } } while (0)

static void make(const char *name) {
    int fd = open(name, O_CREAT | O_WRONLY, 0600);
    CHECK(fd >= 0);
    close(fd);
}

static void look_at(int dir, const char *name) {
    int fd = openat(dir, name, O_RDONLY);
    CHECK(fd >= 0);
    close(fd);
}

int main(void) {
    CHECK(mkdir("d", 0700) == 0 && mkdir("e", 0700) == 0);
    make("d/1"), make("d/2"), make("d/3"), make("d/4"), make("e/5"), make("d/6");
    int top = open(".", O_PATH | O_DIRECTORY);
    int d = open("d", O_RDONLY | O_DIRECTORY);
    look_at(d, "1");
    int copy = dup(d);
    look_at(copy, "2");
    CHECK(chdir("d") == 0);
    look_at(AT_FDCWD, "3");
    CHECK(fchdir(top) == 0);
    look_at(AT_FDCWD, "d/4");
    // The same number, another directory.
    CHECK(dup2(open("e", O_RDONLY | O_DIRECTORY), copy) == copy);
    look_at(copy, "5");
    CHECK(rename("d", "d2") == 0);
    look_at(d, "6");
    for (int round = 0; round < 8; round++) {
        char name[16], file[32];
        sprintf(name, "r%d", round);
        sprintf(file, "%s/file", name);
        CHECK(mkdir(name, 0700) == 0);
        make(file);
        int fd = open(name, O_RDONLY | O_DIRECTORY);
        look_at(fd, "file");
        close(fd);
        CHECK(unlink(file) == 0 && rmdir(name) == 0);
    }
    return 0;
}
