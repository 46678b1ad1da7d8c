//! Names made, moved, linked and taken away.
// file: moved
// file: replaced
// file: linked
// file: gone
// file: d/moved
// dir: gone.d
// expects: delete {dir}/moved
// expects: write {dir}/replaced
// expects: read {dir}/linked
// expects: write {dir}/second
// expects: write {dir}/symbolic
// expects: write {dir}/d/symbolic
// expects: delete {dir}/d/moved
// expects: write {dir}/d/there
// expects: write {dir}/made
// expects: write {dir}/d/made
// expects: write {dir}/pipe
// expects: delete {dir}/gone
// expects: delete {dir}/gone.d
// expects: delete {dir}/symbolic
// expects: missing {dir}/nothing
// expects: stat {dir}/made
// expects: stat {dir}/second
#include "nasty.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

int main(void) {
    MUST(rename("moved", "replaced") == 0);
    MUST(link("linked", "second") == 0);
    MUST(symlink("nowhere", "symbolic") == 0);
    int dir = open("d", O_RDONLY | O_DIRECTORY);
    MUST(dir >= 0 && symlinkat("nowhere", dir, "symbolic") == 0);
    MUST(renameat2(dir, "moved", dir, "there", RENAME_NOREPLACE) == 0);
    MUST(mkdir("made", 0755) == 0 && mkdirat(dir, "made", 0755) == 0);
    MUST(mkdir("made", 0755) < 0 && errno == EEXIST);
    MUST(link("linked", "second") < 0 && errno == EEXIST);
    MUST(mkfifo("pipe", 0600) == 0);
    MUST(unlink("gone") == 0 && rmdir("gone.d") == 0);
    MUST(remove("symbolic") == 0);
    MUST(unlink("nothing") < 0 && rename("nothing", "something") < 0);
    return 0;
}
