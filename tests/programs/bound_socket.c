//! A socket bound to a name makes a file.
// expects: write {dir}/socket
#include "nasty.h"
#include <sys/socket.h>
#include <sys/un.h>

int main(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "socket"};
    int server = socket(AF_UNIX, SOCK_STREAM, 0);
    MUST(bind(server, (struct sockaddr *)&address, sizeof address) == 0);
    return 0;
}
