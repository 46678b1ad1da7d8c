//! A signal handler opens files, on a stack of its own, in the middle of other opens.
// file: a.txt
// file: b.txt
// expects: read {dir}/a.txt
// expects: read {dir}/b.txt
// expects: stat {dir}/b.txt
#include "nasty.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/time.h>

static volatile int handled;

static void handle(int signal) {
    int saved = errno;
    struct stat status;
    int fd = open("b.txt", O_RDONLY);
    if (fd >= 0 && signal == SIGALRM && stat("b.txt", &status) == 0) handled++;
    close(fd);
    errno = saved;
}

int main(void) {
    stack_t stack = {.ss_sp = malloc(65536), .ss_size = 65536};
    MUST(sigaltstack(&stack, NULL) == 0);
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_ONSTACK | SA_RESTART};
    MUST(sigaction(SIGALRM, &action, NULL) == 0);
    struct itimerval often = {{0, 500}, {0, 500}};
    MUST(setitimer(ITIMER_REAL, &often, NULL) == 0);
    // At least once: where every call is slow, one signal may come after the other from the beginning.
    do {
        int fd = open("a.txt", O_RDONLY);
        MUST(fd >= 0 && close(fd) == 0);
        MUST(open("nothing", O_RDONLY) < 0 && errno == ENOENT);
    } while (handled < 20);
    return 0;
}
