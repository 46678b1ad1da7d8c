//! Executes a command with what tracerun needs refused, as containers and other tracers do:
//! refuse listener|seccomp|both COMMAND [ARGUMENT]...
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define REFUSE(number)                                                                                                 \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM)

int main(int count, char **arguments) {
    if (count < 3)
        return 125;
    struct sock_filter nothing[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_filter seccomp[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        REFUSE(SYS_seccomp),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_filter both[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        REFUSE(SYS_seccomp),
        REFUSE(SYS_ptrace),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof nothing / sizeof *nothing, .filter = nothing};
    unsigned long flags = SECCOMP_FILTER_FLAG_NEW_LISTENER;
    if (strcmp(arguments[1], "seccomp") == 0) {
        program = (struct sock_fprog){.len = sizeof seccomp / sizeof *seccomp, .filter = seccomp};
        flags = 0;
    } else if (strcmp(arguments[1], "both") == 0) {
        program = (struct sock_fprog){.len = sizeof both / sizeof *both, .filter = both};
        flags = 0;
    }
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    int listener = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
    // It is one as long as somebody has it open.
    if (listener < 0 || (flags != 0 && fcntl(listener, F_SETFD, 0) < 0)) {
        perror("refuse");
        return 125;
    }
    execvp(arguments[2], arguments + 2);
    perror(arguments[2]);
    return 125;
}
