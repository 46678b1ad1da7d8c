//! Two files change names in one call; and a rename that must not replace anything.
// file: a
// file: b
// expects: write {dir}/a
// expects: write {dir}/b
// expects-not: delete {dir}/a
// expects-not: delete {dir}/b
#include "nasty.h"
#include <errno.h>
#include <fcntl.h>

int main(void) {
    MUST(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_EXCHANGE) == 0);
    return 0;
}
