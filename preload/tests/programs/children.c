// Children of each kind. Expected: by the parent `missing` of parent-1 and parent-2; by a child of fork `missing` of parent-1 (its own
// look at it) and forked; by the children of vfork nothing, though one of them changes its directory; `killed 9` of the last child.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK(condition) do { if (!(condition)) { perror(#condition); exit(1); } } while (0)

static void miss(const char *name) {
    CHECK(open(name, O_RDONLY) == -1 && errno == ENOENT);
}

static int status_of(pid_t child) {
    int status;
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    return status;
}

int main(void) {
    miss("parent-1");
    pid_t child = fork();
    if (child == 0) {
        miss("parent-1");
        miss("forked");
        _exit(3);
    }
    CHECK(WEXITSTATUS(status_of(child)) == 3);
    CHECK(mkdir("below", 0700) == 0);
    child = vfork();
    if (child == 0) {
        // Its own working directory, but our memory.
        if (chdir("below") != 0)
            _exit(1);
        open("in-vfork", O_RDONLY);
        execl("/bin/sh", "sh", "-c", "exit 5", NULL);
        _exit(127);
    }
    CHECK(WEXITSTATUS(status_of(child)) == 5);
    child = vfork();
    if (child == 0)
        _exit(6);
    CHECK(WEXITSTATUS(status_of(child)) == 6);
    miss("parent-2");
    // A fork that no function of libc makes.
    child = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (child == 0) {
        miss("cloned");
        syscall(SYS_exit_group, 0);
    }
    CHECK(status_of(child) == 0);
    child = fork();
    if (child == 0)
        pause();
    kill(child, SIGKILL);
    CHECK(waitpid(child, NULL, 0) == child);
    return 0;
}
