//! Command lines so long that what tracing adds to the environment would be too much: they are executed without.
// expects: exec /bin/true
#include "nasty.h"
#include <errno.h>
#include <string.h>
#include <sys/wait.h>

// Whether /bin/true can be executed with this many bytes of arguments.
static int fits(size_t bytes) {
    enum { EACH = 100000, MOST = 100 };
    static char text[EACH];
    char *arguments[MOST + 2] = {"true"}, *none[] = {0};
    memset(text, 'x', EACH - 1);
    for (int place = 1; bytes > 0; place++) {
        size_t length = bytes < EACH ? bytes : EACH;
        arguments[place] = text + EACH - length;
        bytes -= length;
    }
    pid_t child = fork();
    if (child == 0) {
        execve("/bin/true", arguments, none);
        _exit(errno == E2BIG ? 1 : 2);
    }
    int status;
    MUST(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) < 2);
    return WEXITSTATUS(status) == 0;
}

int main(void) {
    size_t fitting = 100000, too_many = 9000000;
    MUST(fits(fitting) && !fits(too_many));
    while (too_many - fitting > 1) {
        size_t middle = (fitting + too_many) / 2;
        *(fits(middle) ? &fitting : &too_many) = middle;
    }
    // Compared with what it says natively.
    printf("%zu\n", fitting);
    return 0;
}
