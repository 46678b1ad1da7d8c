//! Pointers that lead nowhere and empty names: the calls fail as they do untraced, and name nothing.
// file: a.txt
// expects: read {dir}/a.txt
// expects-not: stat {dir}
#include "nasty.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

int main(void) {
    MUST(syscall(SYS_openat, AT_FDCWD, (char *)8, O_RDONLY) < 0 && errno == EFAULT);
    MUST(syscall(SYS_newfstatat, AT_FDCWD, NULL, NULL, 0) < 0 && errno == EFAULT);
    MUST(open("", O_RDONLY) < 0 && errno == ENOENT);
    MUST(openat(12345, "a.txt", O_RDONLY) < 0 && errno == EBADF);
    // A name that ends with its page, and one that runs out of it.
    char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(page != MAP_FAILED && munmap(page + 4096, 4096) == 0);
    strcpy(page + 4096 - sizeof "a.txt", "a.txt");
    MUST(open(page + 4096 - sizeof "a.txt", O_RDONLY) >= 0);
    page[4095] = 'x';
    MUST(syscall(SYS_openat, AT_FDCWD, page + 4096 - sizeof "a.txt", O_RDONLY) < 0 && errno == EFAULT);
    return 0;
}
