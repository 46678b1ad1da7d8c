// Passes on, by each function that can, an environment without our variables. Expected: as many programs `instrumented` as the
// number it prints to the file `count`, and the caller's own LD_PRELOAD kept.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK(condition) do { if (!(condition)) { perror(#condition); exit(1); } } while (0)

static char *const empty[] = {NULL};
static char *const arguments[] = {"sh", "-c", "[ $A$LD_PRELOAD$TRACERUN_SESSION ] && [ -e / ]", NULL};

static void done(pid_t child) {
    int status;
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

#define IN_CHILD(FORK, CALL) do { pid_t child = FORK(); if (child == 0) { CALL; _exit(9); } done(child); } while (0)

int main(void) {
    pid_t child;
    IN_CHILD(fork, execve("/bin/sh", arguments, empty));
    IN_CHILD(vfork, execve("/bin/sh", arguments, empty));
    IN_CHILD(fork, execvpe("sh", arguments, empty));
    IN_CHILD(fork, fexecve(open("/bin/sh", O_RDONLY), arguments, empty));
    CHECK(posix_spawn(&child, "/bin/sh", NULL, NULL, arguments, empty) == 0);
    done(child);
    CHECK(posix_spawnp(&child, "sh", NULL, NULL, arguments, empty) == 0);
    done(child);
    CHECK(posix_spawn(&child, "/nowhere", NULL, NULL, arguments, empty) == ENOENT);
    CHECK(execve("/nowhere", arguments, empty) == -1 && errno == ENOENT);
    CHECK(execve("/etc/passwd", arguments, empty) == -1 && errno == EACCES);
    // Its own libraries stay, before ours, and its other variables.
    char *const own[] = {"A=1", "LD_PRELOAD=libm.so.6", NULL};
    char *const ask[] = {"sh", "-c", "[ -e / ] && [ $A = 1 ] && case $LD_PRELOAD in libm.so.6:/*) ;; *) exit 1 ;; esac", NULL};
    IN_CHILD(fork, execve("/bin/sh", ask, own));
    // Another session is not ours to change.
    char *const other[] = {"TRACERUN_SESSION=0000000000000001:/nowhere", NULL};
    char *const left[] = {"sh", "-c", "[ $TRACERUN_SESSION = 0000000000000001:/nowhere ] && [ ! \"$LD_PRELOAD\" ]", NULL};
    IN_CHILD(fork, execve("/bin/sh", left, other));
    clearenv();
    IN_CHILD(fork, execv("/bin/sh", arguments));
    IN_CHILD(fork, execvp("/bin/sh", arguments));
    return 0;
}
