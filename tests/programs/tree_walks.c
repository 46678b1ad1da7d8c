//! Trees walked by nftw and fts, which change the working directory, and patterns expanded by glob.
// file: t/d/e/a.txt
// file: u/d/b.txt
// file: v/x.c
// file: v/y.c
// expects: list {dir}/t
// expects: list {dir}/t/d
// expects: list {dir}/t/d/e
// expects: stat {dir}/t/d/e/a.txt
// expects: list {dir}/u
// expects: list {dir}/u/d
// expects: stat {dir}/u/d/b.txt
// expects: list {dir}/v
// expects: missing {dir}/nothing
#include "nasty.h"
#include <fts.h>
#include <ftw.h>
#include <glob.h>

static int visit(const char *path, const struct stat *status, int type, struct FTW *place) {
    return path == NULL || status == NULL || type < 0 || place == NULL;
}

int main(void) {
    MUST(nftw("t", visit, 4, FTW_PHYS | FTW_CHDIR) == 0);
    char *roots[] = {"u", NULL};
    FTS *walk = fts_open(roots, FTS_PHYSICAL, NULL);
    MUST(walk != NULL);
    while (fts_read(walk) != NULL) {
    }
    fts_close(walk);
    glob_t found;
    MUST(glob("v/*.c", 0, NULL, &found) == 0 && found.gl_pathc == 2);
    MUST(glob("nothing", 0, NULL, &found) == GLOB_NOMATCH);
    return 0;
}
