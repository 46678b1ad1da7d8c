// 200 threads at once, each opening 50 files of its own that are not there, while signals interrupt them whose handler opens
// one too. Expected: `missing` of tN-M for each, once, and of in-handler.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>

static void handler(int signal) {
    int before = errno;
    open("in-handler", O_RDONLY);
    errno = before;
}

static void *work(void *number) {
    for (int file = 0; file < 50; file++) {
        char name[32];
        sprintf(name, "t%d-%d", (int)(intptr_t)number, file);
        if (open(name, O_RDONLY) != -1 || errno != ENOENT)
            exit(1);
    }
    return NULL;
}

int main(void) {
    // The library arrives with the first call: until it has, the calls of other threads are the net's, which is not here.
    open("first", O_RDONLY);
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    sigaction(SIGPROF, &action, NULL);
    struct itimerval often = {{0, 1000}, {0, 1000}};
    setitimer(ITIMER_PROF, &often, NULL);
    pthread_t threads[200];
    for (int number = 0; number < 200; number++)
        if (pthread_create(&threads[number], NULL, work, (void *)(intptr_t)number) != 0)
            return 2;
    for (int number = 0; number < 200; number++)
        pthread_join(threads[number], NULL);
    raise(SIGPROF);
    return 0;
}
