//! Programs executed by descriptor and relative to a directory.
// dir: d
// file: a.txt
// file: b.txt
// expects: write {dir}/d/tool
// expects: exec {dir}/d/tool
// expects: read {dir}/a.txt
// expects: read {dir}/b.txt
#include "nasty.h"
#include <fcntl.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/wait.h>

extern char **environ;

static void wait_for(pid_t child) {
    int status;
    MUST(child > 0 && waitpid(child, &status, 0) == child && status == 0);
}

int main(int count, char **arguments) {
    if (count > 1) return open(arguments[1], O_RDONLY) < 0;
    int self = open("/proc/self/exe", O_RDONLY), copy = creat("d/tool", 0755);
    MUST(self >= 0 && copy >= 0);
    while (sendfile(copy, self, NULL, 1 << 20) > 0) {
    }
    close(copy);
    int dir = open("d", O_PATH), tool = open("d/tool", O_PATH | O_CLOEXEC);
    MUST(dir >= 0 && tool >= 0);
    pid_t child = fork();
    if (child == 0) {
        char *with[] = {"tool", "a.txt", NULL};
        fexecve(tool, with, environ);
        _exit(1);
    }
    wait_for(child);
    child = fork();
    if (child == 0) {
        char *with[] = {"tool", "b.txt", NULL};
        syscall(SYS_execveat, dir, "tool", with, environ, 0);
        _exit(1);
    }
    wait_for(child);
    return 0;
}
