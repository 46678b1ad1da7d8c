//! Programs started with an empty environment, and with ours taken out of it.
// file: a.txt
// file: b.txt
// file: c.txt
// expects: exec /bin/cat
// expects: read {dir}/a.txt
// expects: read {dir}/b.txt
// expects: read {dir}/c.txt
#include "nasty.h"
#include <fcntl.h>
#include <sys/wait.h>

static void wait_for(pid_t child) {
    int status;
    MUST(child > 0 && waitpid(child, &status, 0) == child && status == 0);
}

int main(void) {
    pid_t child = fork();
    if (child == 0) {
        MUST(dup2(open("/dev/null", O_WRONLY), 1) == 1);
        char *nothing[] = {NULL};
        execle("/bin/cat", "cat", "a.txt", NULL, nothing);
        _exit(1);
    }
    wait_for(child);
    child = fork();
    if (child == 0) {
        MUST(dup2(open("/dev/null", O_WRONLY), 1) == 1);
        execl("/usr/bin/env", "env", "-i", "/bin/cat", "b.txt", NULL);
        _exit(1);
    }
    wait_for(child);
    unsetenv("LD_PRELOAD");
    child = fork();
    if (child == 0) {
        MUST(dup2(open("/dev/null", O_WRONLY), 1) == 1);
        execlp("cat", "cat", "c.txt", NULL);
        _exit(1);
    }
    wait_for(child);
    return 0;
}
