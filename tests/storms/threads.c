// 200 threads, each of which opens files of its own that are not there.
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static int files;

static void *open_all(void *number) {
    for (int file = 0; file < files; file++) {
        char name[32];
        sprintf(name, "f-%d-%d", (int)(intptr_t)number, file);
        if (open(name, O_RDONLY) >= 0) exit(1);
    }
    return 0;
}

int main(int count, char **arguments) {
    pthread_t threads[200];
    files = atoi(arguments[count - 1]);
    for (intptr_t number = 0; number < 200; number++)
        if (pthread_create(&threads[number], 0, open_all, (void *)number) != 0) return 2;
    for (int number = 0; number < 200; number++) pthread_join(threads[number], 0);
    return 0;
}
