// 64 processes open files of their own that are not there, and note how many they have, until they are killed, each at another
// time; says how many each had noted.
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int count, char **arguments) {
    int least = atoi(arguments[count - 1]);
    volatile long *opened = mmap(0, 64 * sizeof(long), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t children[64];
    for (int number = 0; number < 64; number++) {
        if ((children[number] = fork()) != 0) continue;
        for (;;) {
            char name[32];
            sprintf(name, "k-%d-%ld", number, opened[number] % 20000);
            if (open(name, O_RDONLY) >= 0) _exit(1);
            opened[number]++;
        }
    }
    srandom(1);
    for (int left = 64; left > 0;) {
        int number = random() % 64;
        if (children[number] == 0 || opened[number] < least) continue;
        if (kill(children[number], SIGKILL) != 0) return 2;
        children[number] = 0;
        left--;
    }
    for (int status; wait(&status) > 0;)
        if (!WIFSIGNALED(status)) return 3;
    for (int number = 0; number < 64; number++) printf("%ld\n", opened[number]);
    return 0;
}
