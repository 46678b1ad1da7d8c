//! A daemon that writes when the command is long over: seen, or known to be unseen.
// complete: maybe
// expects: write {dir}/late
#include "nasty.h"
#include <fcntl.h>

int main(void) {
    if (fork() > 0) return 0;
    setsid();
    if (fork() > 0) return 0;
    close(0);
    close(1);
    close(2);
    usleep(300000);
    creat("late", 0644);
    return 0;
}
