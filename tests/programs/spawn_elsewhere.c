//! posix_spawn that changes the directory and opens a file between the fork and the exec.
// file: d/a.txt
// file: d/b.txt
// file: b.txt
// expects: stat {dir}/d
// expects: write {dir}/d/out
// expects: read {dir}/d/a.txt
// expects: exec /bin/cat
// expects-not: any {dir}/out
#include "nasty.h"
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

extern char **environ;

int main(void) {
    posix_spawn_file_actions_t actions;
    MUST(posix_spawn_file_actions_init(&actions) == 0);
    MUST(posix_spawn_file_actions_addchdir_np(&actions, "d") == 0);
    MUST(posix_spawn_file_actions_addopen(&actions, 1, "out", O_WRONLY | O_CREAT, 0644) == 0);
    char *arguments[] = {"cat", "a.txt", NULL};
    pid_t child;
    int status;
    MUST(posix_spawn(&child, "/bin/cat", &actions, NULL, arguments, environ) == 0);
    MUST(waitpid(child, &status, 0) == child && status == 0);
    return 0;
}
