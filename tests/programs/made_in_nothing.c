//! Things made where there is no folder to make them in: the failure is seen, and is one more look at nothing.
// file: a.txt
// expects: missing {dir}/no/directory
// expects: missing {dir}/no/file
// expects: missing {dir}/no/link
// expects: missing {dir}/no/symlink
// expects: missing {dir}/no/renamed
// expects: missing {dir}/no/fifo
#include "nasty.h"
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

int main(void) {
    MUST(mkdir("no/directory", 0777) < 0);
    MUST(open("no/file", O_WRONLY | O_CREAT, 0666) < 0);
    MUST(link("a.txt", "no/link") < 0);
    MUST(symlink("a.txt", "no/symlink") < 0);
    MUST(rename("a.txt", "no/renamed") < 0);
    MUST(mkfifo("no/fifo", 0666) < 0);
    return 0;
}
