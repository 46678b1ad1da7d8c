//! libc reads its databases by itself.
// expects: read /etc/passwd
// expects: read /etc/hosts
#include "nasty.h"
#include <netdb.h>
#include <pwd.h>

int main(void) {
    getpwnam("nobody-of-that-name");
    MUST(gethostbyname("localhost") != NULL);
    return 0;
}
