//! The working directory gets another name, and then its parent does, between two relative opens.
// dir: up/old
// file: up/old/a.txt
// file: up/old/b.txt
// file: up/old/c.txt
// expects: read {dir}/up/old/a.txt
// expects: read {dir}/up/new/b.txt
// expects: read {dir}/down/new/c.txt
// expects-not: any {dir}/up/old/b.txt
// expects-not: any {dir}/up/old/c.txt
// expects-not: any {dir}/up/new/c.txt
#include "nasty.h"
#include <fcntl.h>

int main(void) {
    MUST(chdir("up/old") == 0);
    MUST(open("a.txt", O_RDONLY) >= 0);
    MUST(rename("../old", "../new") == 0);
    MUST(open("b.txt", O_RDONLY) >= 0);
    MUST(rename("../../up", "../../down") == 0);
    MUST(open("c.txt", O_RDONLY) >= 0);
    return 0;
}
