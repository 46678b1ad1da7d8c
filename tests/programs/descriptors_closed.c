//! All descriptors are closed, and then each number is used again; later opens must be seen all the same.
// file: a.txt
// file: b.txt
// expects: read {dir}/a.txt
// expects: read {dir}/b.txt
// expects: write {dir}/out
#include "nasty.h"
#include <fcntl.h>
#include <sys/wait.h>

int main(void) {
    MUST(close_range(3, ~0U, 0) == 0);
    // The number that a native program gets.
    MUST(open("a.txt", O_RDONLY) == 3);
    for (int fd = 4; fd < 1024; fd++) dup2(3, fd);
    MUST(creat("out", 0644) < 0 || 1);
    closefrom(3);
    MUST(creat("out", 0644) == 3);
    pid_t child = fork();
    if (child == 0) {
        MUST(dup2(3, 1) == 1);
        closefrom(3);
        execl("/bin/cat", "cat", "b.txt", NULL);
        _exit(1);
    }
    int status;
    MUST(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    return 0;
}
