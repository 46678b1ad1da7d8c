// Files reached through the links of /proc. Expected, with a pass: `read` of target by its own name three times, nothing under /proc.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CHECK(condition) do { if (!(condition)) { perror(#condition); exit(1); } } while (0)

int main(void) {
    char name[64], where[4096];
    int fd = open("target", O_CREAT | O_RDWR, 0600);
    CHECK(fd >= 0);
    sprintf(name, "/proc/self/fd/%d", fd);
    CHECK(open(name, O_RDONLY) >= 0);
    CHECK(open("/proc/self/cwd/target", O_RDONLY) >= 0);
    sprintf(name, "/dev/../dev/fd/%d", fd);
    CHECK(open(name, O_RDONLY) >= 0);
    CHECK(open("/proc/self/status", O_RDONLY) >= 0);
    CHECK(readlink("/proc/self/exe", where, sizeof where) > 0);
    CHECK(chdir("/proc/self/cwd") == 0);
    int ends[2];
    CHECK(pipe(ends) == 0);
    sprintf(name, "/dev/fd/%d", ends[0]);
    CHECK(open(name, O_RDONLY) >= 0);
    return 0;
}
