//! Another thread changes the working directory of all; a third has one of its own.
// build: -pthread
// file: d/a.txt
// file: e/b.txt
// file: a.txt
// file: b.txt
// expects: stat {dir}/d
// expects: read {dir}/d/a.txt
// expects: read {dir}/e/b.txt
// expects-not: any {dir}/a.txt
// expects-not: any {dir}/b.txt
// expects-not: any {dir}/d/b.txt
#include "nasty.h"
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>

static void *moves_all(void *nothing) {
    int dir = open("d", O_RDONLY | O_DIRECTORY);
    MUST(dir >= 0 && fchdir(dir) == 0);
    return nothing;
}

static void *moves_itself(void *nothing) {
    MUST(unshare(CLONE_FS) == 0);
    MUST(chdir("../e") == 0);
    MUST(open("b.txt", O_RDONLY) >= 0);
    return nothing;
}

int main(void) {
    pthread_t thread;
    MUST(pthread_create(&thread, NULL, moves_all, NULL) == 0);
    MUST(pthread_join(thread, NULL) == 0);
    MUST(open("a.txt", O_RDONLY) >= 0);
    MUST(pthread_create(&thread, NULL, moves_itself, NULL) == 0);
    MUST(pthread_join(thread, NULL) == 0);
    MUST(open("a.txt", O_RDONLY) >= 0);
    return 0;
}
