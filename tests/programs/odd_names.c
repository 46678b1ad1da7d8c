//! Names that are not UTF-8, hold newlines, quotes or escapes, or look like something else.
// expects: write {dir}/new\nline
// expects: write {dir}/\xff\xfe
// expects: write {dir}/quote"d\x5cn
// expects: write {dir}/<3> = 4
// expects: missing {dir}/absent\n\xc3
// expects: write {dir}/\x20
#include "nasty.h"
#include <fcntl.h>

int main(void) {
    MUST(creat("new\nline", 0644) >= 0);
    MUST(creat("\xff\xfe", 0644) >= 0);
    MUST(creat("quote\"d\\n", 0644) >= 0);
    MUST(creat("<3> = 4", 0644) >= 0);
    MUST(open("absent\n\xc3", O_RDONLY) < 0);
    MUST(creat(" ", 0644) >= 0);
    return 0;
}
