//! A library loaded while the program runs, one that is not there, and one loaded through a link.
// build: -ldl
// link: libhere.so -> /nonexistent/libm.so
// expects: read *libm.so.6
// expects: missing {dir}/libnot-there.so
// expects: missing {dir}/libhere.so
#include "nasty.h"
#include <dlfcn.h>

int main(void) {
    MUST(dlopen("libm.so.6", RTLD_NOW) != NULL);
    MUST(dlopen("./libnot-there.so", RTLD_NOW) == NULL);
    MUST(dlopen("./libhere.so", RTLD_NOW) == NULL);
    return 0;
}
