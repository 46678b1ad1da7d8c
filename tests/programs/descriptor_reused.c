//! One number for one directory after the other, by dup2, close and open, also in another thread: names begin in the latest.
// build: -pthread
// file: d/a.txt
// file: e/a.txt
// file: f/a.txt
// expects: read {dir}/d/a.txt
// expects: read {dir}/e/a.txt
// expects: read {dir}/f/a.txt
#include "nasty.h"
#include <fcntl.h>
#include <pthread.h>

static int fd;

static void *replace(void *name) {
    int other = open(name, O_RDONLY | O_DIRECTORY);
    MUST(other >= 0 && dup2(other, fd) == fd && close(other) == 0);
    return NULL;
}

int main(void) {
    fd = open("d", O_RDONLY | O_DIRECTORY);
    MUST(openat(fd, "a.txt", O_RDONLY) >= 0);
    pthread_t thread;
    MUST(pthread_create(&thread, NULL, replace, "e") == 0 && pthread_join(thread, NULL) == 0);
    MUST(openat(fd, "a.txt", O_RDONLY) >= 0);
    replace("f");
    MUST(openat(fd, "a.txt", O_RDONLY) >= 0);
    return 0;
}
