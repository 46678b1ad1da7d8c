// 64 processes that make, write and remove files of their own as fast as they can, for a while; says how many they made.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int main(int count, char **arguments) {
    time_t end = time(0) + atoi(arguments[count - 1]);
    long *made = mmap(0, 64 * sizeof(long), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), all = 0;
    for (int writer = 0; writer < 64; writer++) {
        if (fork() != 0) continue;
        do {
            char name[32];
            sprintf(name, "w-%d-%ld", writer, made[writer] % 4000);
            int fd = open(name, O_RDWR | O_CREAT, 0600);
            if (fd < 0 || write(fd, name, 8) != 8 || close(fd) != 0) _exit(1);
            if (++made[writer] % 3 == 0 && unlink(name) != 0) _exit(2);
        } while (time(0) < end);
        _exit(0);
    }
    for (int status; wait(&status) > 0;)
        if (status != 0) return 3;
    for (int writer = 0; writer < 64; writer++) all += made[writer];
    printf("%ld\n", all);
    return 0;
}
