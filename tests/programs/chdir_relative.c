//! The same relative name in one directory after another, through a link and back.
// file: a/x
// file: b/c/x
// link: l -> b/c
// expects: read {dir}/a/x
// expects: stat {dir}/a
// expects: stat {dir}/l
// expects: read {dir}/b/c/x
// expects: missing {dir}/b/x
// expects: missing {dir}/x
#include "nasty.h"
#include <fcntl.h>

int main(void) {
    MUST(chdir("a") == 0 && open("x", O_RDONLY) >= 0);
    MUST(chdir("../l") == 0 && open("x", O_RDONLY) >= 0);
    MUST(chdir("..") == 0 && open("./x", O_RDONLY) < 0);
    MUST(chdir("..") == 0 && open(".//x", O_RDONLY) < 0);
    MUST(chdir("nowhere") < 0 && open("x", O_RDONLY) < 0);
    return 0;
}
