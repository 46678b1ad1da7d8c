//! io_uring opens files without a system call that names them: it is refused, and the program falls back.
// file: a.txt
// strace: blind
// expects: read {dir}/a.txt
#include "nasty.h"
#include <fcntl.h>
#include <linux/io_uring.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

// Opens a file by a ring; -1 if there can't be one.
static int open_by_ring(const char *path) {
    struct io_uring_params at;
    memset(&at, 0, sizeof at);
    int ring = syscall(SYS_io_uring_setup, 1, &at);
    if (ring < 0) return -1;
    int protection = PROT_READ | PROT_WRITE;
    char *queue = mmap(0, 1 << 16, protection, MAP_SHARED, ring, IORING_OFF_SQ_RING);
    struct io_uring_sqe *entry = mmap(0, 4096, protection, MAP_SHARED, ring, IORING_OFF_SQES);
    if (queue == MAP_FAILED || entry == MAP_FAILED || !(at.features & IORING_FEAT_SINGLE_MMAP)) return -1;
    memset(entry, 0, sizeof *entry);
    entry->opcode = IORING_OP_OPENAT;
    entry->fd = AT_FDCWD;
    entry->addr = (unsigned long)path;
    *(unsigned *)(queue + at.sq_off.array) = 0;
    __atomic_store_n((unsigned *)(queue + at.sq_off.tail), 1, __ATOMIC_RELEASE);
    MUST(syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) == 1);
    return ((struct io_uring_cqe *)(queue + at.cq_off.cqes))->res;
}

int main(void) {
    int fd = open_by_ring("a.txt");
    if (fd < 0) fd = open("a.txt", O_RDONLY);
    MUST(fd >= 0);
    return 0;
}
