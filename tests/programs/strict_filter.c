//! A program with a seccomp filter of its own that kills it for any call but the few that it makes.
// file: a.txt
// file: b.txt
// expects: read {dir}/a.txt
// expects: read {dir}/b.txt
// expects: stat {dir}/b.txt
#include "nasty.h"
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define ALLOW(number) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static struct sock_filter filter[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    ALLOW(SYS_openat),
    ALLOW(SYS_newfstatat),
    ALLOW(SYS_exit_group),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
};
static struct sock_fprog program = {sizeof filter / sizeof *filter, filter};

static void shut_in(int by_syscall) {
    struct stat status;
    MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    if (by_syscall)
        MUST(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0);
    else
        MUST(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
    MUST(open("b.txt", O_RDONLY) >= 0 && stat("b.txt", &status) == 0);
    _exit(0);
}

int main(int count, char **arguments) {
    (void)arguments;
    for (int by_syscall = 0; by_syscall < 2; by_syscall++) {
        // Before the library has had anything to do, and after.
        if (by_syscall) MUST(open("a.txt", O_RDONLY) >= 0);
        int status;
        pid_t child = fork();
        if (child == 0) shut_in(by_syscall);
        MUST(waitpid(child, &status, 0) == child && status == 0);
    }
    return count != 1;
}
