//! A thread that does nothing but open files is cancelled, and what it has to clean up is cleaned up.
// build: -pthread -fexceptions
// file: a.txt
// expects: read {dir}/a.txt
// expects: missing {dir}/missing
#include "nasty.h"
#include <fcntl.h>
#include <pthread.h>

static int ready[2], cleaned, left;

static void clean_up(void *unused) {
    (void)unused;
    cleaned++;
}

static void leave(int *unused) {
    (void)unused;
    left++;
}

static void *work(void *unused) {
    int scope __attribute__((cleanup(leave))) = 0;
    pthread_cleanup_push(clean_up, unused);
    MUST(write(ready[1], "", 1) == 1);
    for (;;) open("missing", O_RDONLY);
    pthread_cleanup_pop(scope);
    return unused;
}

int main(void) {
    pthread_t thread;
    void *result;
    char byte;
    MUST(open("a.txt", O_RDONLY) >= 0 && pipe(ready) == 0);
    MUST(pthread_create(&thread, 0, work, 0) == 0);
    MUST(read(ready[0], &byte, 1) == 1 && open("missing", O_RDONLY) < 0);
    MUST(pthread_cancel(thread) == 0 && pthread_join(thread, &result) == 0);
    return result == PTHREAD_CANCELED && cleaned == 1 && left == 1 ? 0 : 1;
}
