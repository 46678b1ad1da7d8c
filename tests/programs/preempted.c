//! Signals arrive all the time, as in Go's runtime, with handlers that have calls restarted: none fails, whoever sees it.
// build: -static
// file: a.txt
// expects: read {dir}/a.txt
// expects: write {dir}/out
// expects: stat {dir}/a.txt
#include "nasty.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/time.h>

static volatile sig_atomic_t signals;

static void handler(int signal) {
    (void)signal;
    signals++;
}

int main(void) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    struct itimerval often = {{0, 100}, {0, 100}};
    MUST(sigaction(SIGALRM, &action, 0) == 0 && setitimer(ITIMER_REAL, &often, 0) == 0);
    for (int rounds = 0; signals < 500 || rounds < 500; rounds++) {
        struct stat status;
        int in = open("a.txt", O_RDONLY), out = open("out", O_WRONLY | O_CREAT, 0600);
        MUST(in >= 0 && out >= 0 && stat("a.txt", &status) == 0 && close(in) == 0 && close(out) == 0);
    }
    return 0;
}
