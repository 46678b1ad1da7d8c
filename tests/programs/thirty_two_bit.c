//! A 32-bit program, static: every call is of another ABI, with pointers of four bytes.
// compiler: i686-linux-gnu-gcc
// build: -static
// file: a.txt
// file: d/b.txt
// link: l -> a.txt
// expects: read {dir}/a.txt
// expects: read {dir}/d/b.txt
// expects: stat {dir}/a.txt
// expects: stat {dir}/l
// expects: missing {dir}/nothing
// expects: list {dir}/d
// expects: write {dir}/made
// expects: write {dir}/renamed
// expects: write {dir}/folder
// expects: delete {dir}/made
// expects: delete {dir}/folder
// expects: stat {dir}/d
// expects: write {dir}/socket
// expects: stat {dir}/socket
// expects: exec {dir}/program
#include "nasty.h"
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

int main(int count, char **arguments) {
    if (count > 1) return strcmp(arguments[1], "again") != 0;
    _Static_assert(sizeof(void *) == 4, "a 32-bit program");
    struct stat status;
    char buffer[64];
    MUST(syscall(SYS_open, "a.txt", O_RDONLY) >= 0);
    MUST(openat(open("d", O_PATH), "b.txt", O_RDONLY) >= 0);
    MUST(stat("a.txt", &status) == 0 && stat("nothing", &status) < 0);
    MUST(readlink("l", buffer, sizeof buffer) == 5);
    DIR *directory = opendir("d");
    MUST(directory && readdir(directory));
    MUST(creat("made", 0644) >= 0 && rename("made", "renamed") == 0);
    MUST(mkdir("folder", 0755) == 0 && rmdir("folder") == 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "socket"};
    long server = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
    long bound[] = {server, (long)&address, sizeof address}, connected[] = {client, (long)&address, sizeof address};
    MUST(syscall(SYS_socketcall, 2, bound) == 0 && listen(server, 1) == 0);
    MUST(syscall(SYS_socketcall, 3, connected) == 0);
    MUST(link("/proc/self/exe", "no") < 0);
    int from = open("/proc/self/exe", O_RDONLY), to = open("program", O_WRONLY | O_CREAT, 0755);
    char copied[4096];
    for (long size; (size = read(from, copied, sizeof copied)) > 0;) MUST(write(to, copied, size) == size);
    MUST(close(to) == 0);
    int child = fork(), status_of_child;
    if (child == 0) execl("program", "program", "again", (char *)NULL), _exit(1);
    MUST(waitpid(child, &status_of_child, 0) == child && status_of_child == 0);
    MUST(chdir("d") == 0 && stat("b.txt", &status) == 0);
    return 0;
}
