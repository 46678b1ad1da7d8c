//! Children killed while they open files; those that come after are seen as if nothing had been.
// file: a.txt
// file: b.txt
// expects: read {dir}/a.txt
// expects: read {dir}/b.txt
#include "nasty.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

int main(void) {
    for (int i = 0; i < 20; i++) {
        int ready[2];
        char byte;
        MUST(pipe(ready) == 0);
        pid_t child = fork();
        if (child == 0) {
            for (unsigned long n = 0;; n++) {
                char path[64];
                close(open("a.txt", O_RDONLY));
                snprintf(path, sizeof path, "nothing/%lu", n);
                access(path, F_OK);
                if (n == 10) MUST(write(ready[1], "", 1) == 1);
            }
        }
        MUST(child > 0 && read(ready[0], &byte, 1) == 1);
        usleep(i * 100);
        MUST(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
        close(ready[0]);
        close(ready[1]);
    }
    MUST(open("b.txt", O_RDONLY) >= 0);
    return 0;
}
