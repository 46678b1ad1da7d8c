//! A set-user-id program: it becomes another user as it is executed, and its loader looks at no library of ours.
// strace: blind
// file: a.txt
// file: b.txt
// expects: read {dir}/a.txt
// expects: exec {dir}/other
// expects: read {dir}/b.txt
#include "nasty.h"
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define OTHER 65534

// A copy of this program that is another user's.
static void copy(void) {
    char buffer[1 << 16];
    int in = open("/proc/self/exe", O_RDONLY), out = open("other", O_WRONLY | O_CREAT, 0700);
    MUST(in >= 0 && out >= 0);
    for (ssize_t count; (count = read(in, buffer, sizeof buffer)) > 0;) MUST(write(out, buffer, count) == count);
    if (fchown(out, OTHER, OTHER) != 0) CANNOT_RUN();
    MUST(fchmod(out, 04755) == 0 && close(out) == 0);
}

int main(int count, char **arguments) {
    (void)arguments;
    if (count > 1) {
        if (geteuid() != OTHER) CANNOT_RUN();
        MUST(open("b.txt", O_RDONLY) >= 0);
        return 0;
    }
    MUST(open("a.txt", O_RDONLY) >= 0);
    copy();
    execl("other", "other", "again", (char *)0);
    MUST(!"executed");
}
