//! stdio opens files by itself, inside libc.
// file: r
// file: r+
// file: w+
// file: a+
// file: first
// file: second
// expects: read {dir}/r
// expects: read {dir}/r+
// expects: write {dir}/r+
// expects: write {dir}/w
// expects: write {dir}/w+
// expects-not: read {dir}/w+
// expects: write {dir}/a
// expects: write {dir}/a+
// expects: read {dir}/a+
// expects: write {dir}/wx
// expects: missing {dir}/nothing
// expects: read {dir}/first
// expects: read {dir}/second
// expects: write {dir}/third
#include "nasty.h"

int main(void) {
    static const char *const modes[] = {"r", "r+", "w", "w+", "a", "a+", "wx"};
    for (unsigned i = 0; i < sizeof modes / sizeof *modes; i++) {
        FILE *file = fopen(modes[i], modes[i]);
        MUST(file != NULL && fclose(file) == 0);
    }
    MUST(fopen("nothing", "r") == NULL);
    FILE *file = fopen64("first", "re");
    MUST(file != NULL);
    MUST(freopen("second", "r", file) == file);
    MUST(freopen64("third", "w", file) == file);
    MUST(fclose(file) == 0);
    return 0;
}
