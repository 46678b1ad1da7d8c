/* A program without a dynamic loader, which only the kernel can see: read F, copy F O, names D, mode F, target L, rename F G. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int copy(const char *from, int to)
{
    char buffer[65536];
    int in = open(from, O_RDONLY);
    ssize_t count = in < 0 ? -1 : read(in, buffer, sizeof buffer);
    return count < 0 || write(to, buffer, count) != count;
}

int main(int argc, char **argv)
{
    struct stat status;
    char target[4096] = {0};
    if (argc < 3) return 2;
    if (!strcmp(argv[1], "read")) return copy(argv[2], 1);
    if (!strcmp(argv[1], "copy") && argc > 3) {
        if (stat(argv[2], &status)) return 1;
        return copy(argv[2], open(argv[3], O_WRONLY | O_CREAT | O_TRUNC, 0644));
    }
    if (!strcmp(argv[1], "names")) {
        DIR *folder = opendir(argv[2]);
        if (!folder) return 1;
        for (struct dirent *entry; (entry = readdir(folder));) puts(entry->d_name);
        return 0;
    }
    if (!strcmp(argv[1], "mode")) {
        if (lstat(argv[2], &status)) return puts("none"), 1;
        return printf("%o\n", status.st_mode) < 0;
    }
    if (!strcmp(argv[1], "target")) {
        if (readlink(argv[2], target, sizeof target - 1) < 0) return puts("no link"), 1;
        return puts(target) < 0;
    }
    if (!strcmp(argv[1], "rename") && argc > 3) return rename(argv[2], argv[3]) != 0;
    return 2;
}
