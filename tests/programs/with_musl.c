//! A program of another libc: a library linked against glibc would keep it from starting.
// compiler: musl-gcc
// file: a.txt
// file: d/1
// expects: read {dir}/a.txt
// expects: list {dir}/d
// expects: write {dir}/out
// expects: missing {dir}/nothing
#include "nasty.h"
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

int main(void) {
    struct stat status;
    FILE *file = fopen("a.txt", "r");
    MUST(file != NULL && fclose(file) == 0);
    DIR *dir = opendir("d");
    MUST(dir != NULL && readdir(dir) != NULL);
    MUST(open("out", O_WRONLY | O_CREAT, 0644) >= 0);
    MUST(stat("nothing", &status) < 0);
    return 0;
}
