//! Files opened before main, after main, and when libraries are unloaded.
// file: constructor
// file: exit
// file: destructor
// file: initial
// expects: read {dir}/initial
// expects: read {dir}/constructor
// expects: read {dir}/exit
// expects: read {dir}/destructor
#include "nasty.h"
#include <fcntl.h>

static void initial(void) { MUST(open("initial", O_RDONLY) >= 0); }
// Of a program's functions these run first, before the constructors of most libraries' callers.
__attribute__((section(".preinit_array"), used)) static void (*before)(void) = initial;

__attribute__((constructor)) static void begin(void) { MUST(open("constructor", O_RDONLY) >= 0); }
__attribute__((destructor)) static void end(void) { MUST(open("destructor", O_RDONLY) >= 0); }
static void at_exit(void) { MUST(open("exit", O_RDONLY) >= 0); }

int main(void) {
    MUST(atexit(at_exit) == 0);
    return 0;
}
