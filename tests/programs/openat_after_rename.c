//! A descriptor of a directory, used after the directory has got another name, and after the number means another one.
// dir: old
// file: old/a.txt
// file: old/b.txt
// file: other/a.txt
// file: other/c.txt
// expects: read {dir}/old/a.txt
// expects: delete {dir}/old
// expects: write {dir}/new
// expects: read {dir}/new/b.txt
// expects-not: any {dir}/old/b.txt
// expects: read {dir}/other/c.txt
// expects-not: any {dir}/new/c.txt
#include "nasty.h"
#include <fcntl.h>

int main(void) {
    int dir = open("old", O_RDONLY | O_DIRECTORY);
    MUST(dir >= 0 && openat(dir, "a.txt", O_RDONLY) >= 0);
    MUST(rename("old", "new") == 0);
    MUST(openat(dir, "b.txt", O_RDONLY) >= 0);
    int other = open("other", O_PATH);
    MUST(other >= 0 && dup2(other, dir) == dir);
    MUST(openat(dir, "c.txt", O_RDONLY) >= 0);
    return 0;
}
