//! A directory that another process opened, received over a socket, and inherited over an exec: names begin there.
// file: d/a.txt
// file: d/b.txt
// expects: read {dir}/d/a.txt
// expects: read {dir}/d/b.txt
// expects-not: any {dir}/a.txt
// expects-not: any {dir}/b.txt
#include "nasty.h"
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

int main(int count, char **arguments) {
    if (count > 1) {
        MUST(openat(7, "b.txt", O_RDONLY) >= 0);
        return 0;
    }
    int ends[2], status;
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    char room[CMSG_SPACE(sizeof(int))] = {0}, byte = 0;
    struct iovec data = {&byte, 1};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
    if (fork() == 0) {
        struct cmsghdr *control = CMSG_FIRSTHDR(&message);
        control->cmsg_level = SOL_SOCKET;
        control->cmsg_type = SCM_RIGHTS;
        control->cmsg_len = CMSG_LEN(sizeof(int));
        int fd = open("d", O_RDONLY | O_DIRECTORY);
        memcpy(CMSG_DATA(control), &fd, sizeof fd);
        _exit(sendmsg(ends[1], &message, 0) != 1);
    }
    MUST(recvmsg(ends[0], &message, 0) == 1);
    int fd;
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
    MUST(openat(fd, "a.txt", O_RDONLY) >= 0);
    MUST(wait(&status) > 0 && status == 0);
    MUST(dup2(fd, 7) == 7);
    execl("/proc/self/exe", "again", "again", (char *)NULL);
    return 1;
}
