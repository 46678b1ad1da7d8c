//! A file opened by its handle: no path is named.
// file: a.txt
// complete: no
#include "nasty.h"
#include <errno.h>
#include <fcntl.h>

int main(void) {
    union {
        struct file_handle handle;
        char space[sizeof(struct file_handle) + MAX_HANDLE_SZ];
    } named = {.handle.handle_bytes = MAX_HANDLE_SZ};
    int mount_id, mount = open(".", O_RDONLY | O_DIRECTORY);
    if (name_to_handle_at(AT_FDCWD, "a.txt", &named.handle, &mount_id, 0) < 0) CANNOT_RUN();
    int fd = open_by_handle_at(mount, &named.handle, O_RDONLY);
    if (fd < 0 && errno == EPERM) CANNOT_RUN();
    MUST(fd >= 0);
    return 0;
}
