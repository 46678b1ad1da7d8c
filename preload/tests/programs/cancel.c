// A thread that waits for a child is cancelled, and cleaned up after.
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile int cleaned;

static void cleanup(void *unused) {
    cleaned = 1;
}

static void *work(void *child) {
    pthread_cleanup_push(cleanup, NULL);
    waitpid(*(pid_t *)child, NULL, 0);
    pthread_cleanup_pop(0);
    return NULL;
}

int main(void) {
    pid_t child = fork();
    if (child == 0)
        for (;;)
            pause();
    pthread_t thread;
    void *result;
    pthread_create(&thread, NULL, work, &child);
    pthread_cancel(thread);
    pthread_join(thread, &result);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    return result == PTHREAD_CANCELED && cleaned ? 0 : 1;
}
