//! A static program loads no library.
// build: -static
// file: a.txt
// file: d/1
// expects: read {dir}/a.txt
// expects: write {dir}/out
// expects: list {dir}/d
// expects: missing {dir}/nothing
#include "nasty.h"
#include <dirent.h>
#include <fcntl.h>

int main(void) {
    MUST(open("a.txt", O_RDONLY) >= 0);
    MUST(creat("out", 0644) >= 0);
    DIR *dir = opendir("d");
    MUST(dir != NULL && readdir(dir) != NULL);
    MUST(access("nothing", F_OK) < 0);
    return 0;
}
