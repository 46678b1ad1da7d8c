//! `..` after a symbolic link leads out of the link's target: the file that is read is not the one the name suggests.
// dir: other/d
// file: other/x
// file: x
// link: l -> other/d
// expects: read {dir}/other/x
#include "nasty.h"
#include <fcntl.h>

int main(void) {
    MUST(open("l/../x", O_RDONLY) >= 0);
    return 0;
}
