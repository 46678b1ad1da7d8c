//! A script whose interpreter is a script: the kernel opens all of them, and no system call names the inner ones.
// file: outer #!{dir}/middle
// file: middle #! {dir}/inner -e
// file: inner #!/bin/sh
// file: broken #!/nonexistent/interpreter
// expects: exec {dir}/outer
// expects: exec {dir}/middle
// expects: exec {dir}/inner
// expects: exec /bin/sh
// expects: missing {dir}/not-there
#include "nasty.h"
#include <sys/wait.h>

int main(void) {
    pid_t child = fork();
    if (child == 0) {
        execl("not-there", "not-there", NULL);
        execl("broken", "broken", NULL);
        execl("outer", "outer", NULL);
        _exit(9);
    }
    int status;
    MUST(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    return 0;
}
