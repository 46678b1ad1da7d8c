// Many short processes, 16 at a time: every other one executes a program, the rest open a file of their own that is not there.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static int reap(void) {
    int status;
    return wait(&status) > 0 && status == 0;
}

int main(int count, char **arguments) {
    int processes = atoi(arguments[count - 1]);
    for (int number = 0; number < processes; number++) {
        if (number >= 16 && !reap()) return 1;
        pid_t child = fork();
        if (child < 0) return 2;
        if (child == 0) {
            char name[32];
            sprintf(name, "missing-%d", number);
            if (number % 2 == 0) _exit(open(name, O_RDONLY) >= 0);
            execl("/bin/true", "true", (char *)0);
            _exit(3);
        }
    }
    while (reap())
        continue;
    return 0;
}
