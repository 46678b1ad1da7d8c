//! Children that share our memory until they execute: they open files and change the directory on the way.
// file: a.txt
// file: b.txt
// file: d/c.txt
// expects: read {dir}/a.txt
// expects: read {dir}/b.txt
// expects: read {dir}/d/c.txt
// expects: exec /bin/cat
// expects-not: any {dir}/c.txt
#include "nasty.h"
#include <fcntl.h>
#include <sys/wait.h>

int main(void) {
    int status;
    pid_t child = vfork();
    if (child == 0) _exit(open("b.txt", O_RDONLY) >= 0 ? 0 : 1);
    MUST(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    child = vfork();
    if (child == 0) {
        if (chdir("d") == 0) execl("/bin/cat", "cat", "c.txt", "../a.txt", NULL);
        _exit(1);
    }
    MUST(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    // Still where we were.
    MUST(open("a.txt", O_RDONLY) >= 0);
    return 0;
}
