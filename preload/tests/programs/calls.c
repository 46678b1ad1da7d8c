// One call of each kind that only looks. Expected: `read` of read-NAME, `stat` of stat-NAME, `missing` of missing-NAME for each
// function NAME below, `list` of the folder; and every function still returns and fails as libc's own.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#define CHECK(condition) do { if (!(condition)) { printf("line %d: %s, errno %d\n", __LINE__, #condition, errno); exit(1); } } while (0)

static void make(const char *name) {
    int fd = syscall(SYS_openat, AT_FDCWD, name, O_CREAT | O_WRONLY, 0600);
    CHECK(fd >= 0);
    close(fd);
}

#define OPENS(NAME, CALL_THERE, CALL_ABSENT) do { \
    make("read-" NAME); \
    errno = 77; \
    int fd = CALL_THERE; \
    CHECK(fd >= 0 && errno == 77); \
    close(fd); \
    fd = CALL_ABSENT; \
    CHECK(fd == -1 && errno == ENOENT); \
} while (0)

#define ASKS(NAME, CALL_THERE, CALL_ABSENT) do { \
    make("stat-" NAME); \
    errno = 77; \
    CHECK((CALL_THERE) == 0 && errno == 77); \
    CHECK((CALL_ABSENT) == -1 && errno == ENOENT); \
} while (0)

int main(void) {
    struct stat status;
    struct statfs volume;
    char buffer[4096];
    int here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(here >= 0);

    OPENS("open", open("read-open", O_RDONLY), open("missing-open", O_RDONLY));
    OPENS("openat", openat(here, "read-openat", O_RDONLY), openat(here, "missing-openat", O_RDONLY));
    OPENS("syscall", syscall(SYS_openat, here, "read-syscall", O_RDONLY), syscall(SYS_openat, here, "missing-syscall", O_RDONLY));

    ASKS("stat", stat("stat-stat", &status), stat("missing-stat", &status));
    ASKS("lstat", lstat("stat-lstat", &status), lstat("missing-lstat", &status));
    ASKS("fstatat", fstatat(here, "stat-fstatat", &status, 0), fstatat(here, "missing-fstatat", &status, 0));
    CHECK(S_ISREG(status.st_mode) && status.st_size == 0 && (status.st_mode & 0777) == 0600);
    ASKS("access", access("stat-access", R_OK), access("missing-access", R_OK));
    ASKS("statfs", statfs("stat-statfs", &volume), statfs("missing-statfs", &volume));
    // No link: refused, which gives away that it is there.
    make("stat-readlink");
    CHECK(readlink("stat-readlink", buffer, sizeof buffer) == -1 && errno == EINVAL);
    CHECK(readlink("missing-readlink", buffer, sizeof buffer) == -1 && errno == ENOENT);
    make("stat-getxattr");
    CHECK(getxattr("stat-getxattr", "user.none", buffer, sizeof buffer) == -1 && (errno == ENODATA || errno == ENOTSUP));
    CHECK(getxattr("missing-getxattr", "user.none", buffer, sizeof buffer) == -1 && errno == ENOENT);
#ifdef __GLIBC__
    CHECK(getdents64(here, buffer, sizeof buffer) > 0);
#else
    CHECK(syscall(SYS_getdents64, here, buffer, sizeof buffer) > 0);
#endif

    // Where the program has no memory, nothing is touched, and nothing is reported.
    CHECK(open((char *)1, O_RDONLY) == -1 && errno == EFAULT);
    CHECK(stat((char *)1, &status) == -1 && errno == EFAULT);
    CHECK(open("", O_RDONLY) == -1 && errno == ENOENT);
    CHECK(openat(99, "a", O_RDONLY) == -1 && errno == EBADF);
    CHECK(open((char *)1, O_RDONLY | O_DIRECTORY | 0x40000000) == -1);
    CHECK(fstat(here, &status) == 0 && S_ISDIR(status.st_mode));
    CHECK(fstat(99, &status) == -1 && errno == EBADF);
    CHECK(fstatat(here, "", &status, AT_EMPTY_PATH) == 0 && S_ISDIR(status.st_mode));
    CHECK(open("read-open/below", O_RDONLY) == -1 && errno == ENOTDIR);
    CHECK(open("read-open", O_RDONLY | O_DIRECTORY) == -1 && errno == ENOTDIR);
    return 0;
}
