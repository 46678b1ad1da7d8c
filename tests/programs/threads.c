//! Two hundred threads open files at once, some of them the same.
// build: -pthread
// file: common
// file: f/0
// file: f/7
// file: f/99
// file: f/199
// expects: read {dir}/common
// expects: read {dir}/f/0
// expects: read {dir}/f/7
// expects: read {dir}/f/99
// expects: read {dir}/f/199
// expects: missing {dir}/f/8
// expects: missing {dir}/f/198
#include "nasty.h"
#include <fcntl.h>
#include <pthread.h>

enum { THREADS = 200 };
static pthread_barrier_t start;

static void *open_own(void *number) {
    char path[32];
    snprintf(path, sizeof path, "f/%ld", (long)number);
    pthread_barrier_wait(&start);
    for (int i = 0; i < 20; i++) {
        int fd = open("common", O_RDONLY);
        MUST(fd >= 0 && close(fd) == 0);
        fd = open(path, O_RDONLY);
        if (fd >= 0) close(fd);
    }
    return NULL;
}

int main(void) {
    pthread_t threads[THREADS];
    pthread_barrier_init(&start, NULL, THREADS);
    for (long i = 0; i < THREADS; i++) MUST(pthread_create(&threads[i], NULL, open_own, (void *)i) == 0);
    for (long i = 0; i < THREADS; i++) MUST(pthread_join(threads[i], NULL) == 0);
    return 0;
}
