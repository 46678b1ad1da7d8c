//! Files and directories whose names nobody knows beforehand.
// expects: write {dir}/t-*
// expects: write {dir}/s-*.c
// expects: write {dir}/d-*
// expects: write {dir}/d-*/inside
// expects: delete {dir}/t-*
#include "nasty.h"
#include <fcntl.h>

int main(void) {
    char file[] = "t-XXXXXX", suffixed[] = "s-XXXXXX.c", dir[] = "d-XXXXXX", inside[32];
    MUST(mkstemp(file) >= 0);
    MUST(mkostemps(suffixed, 2, O_CLOEXEC) >= 0);
    MUST(mkdtemp(dir) != NULL);
    snprintf(inside, sizeof inside, "%s/inside", dir);
    MUST(creat(inside, 0600) >= 0);
    MUST(unlink(file) == 0);
    FILE *nameless = tmpfile();
    MUST(nameless != NULL);
    return 0;
}
