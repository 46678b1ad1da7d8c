//! A thread that has had a working directory of its own is gone, and the next one has its memory but not its directory.
// build: -pthread
// file: a.txt
// file: e/a.txt
// expects: read {dir}/a.txt
// expects: read {dir}/e/a.txt
#include "nasty.h"
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>

static void *reads(void *own) {
    if (own) {
        MUST(unshare(CLONE_FS) == 0);
        MUST(chdir("e") == 0);
    }
    MUST(open("a.txt", O_RDONLY) >= 0);
    return own;
}

int main(void) {
    pthread_t thread;
    char *own[] = {"own", NULL};
    for (int round = 0; round < 2; round++) {
        MUST(pthread_create(&thread, NULL, reads, own[round]) == 0);
        MUST(pthread_join(thread, NULL) == 0);
    }
    return 0;
}
