//! A socket that lives in the file system is looked up by connect.
// expects: stat {dir}/socket
// expects: missing {dir}/nothing
#include "nasty.h"
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

int main(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "socket"};
    int server = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
    MUST(bind(server, (struct sockaddr *)&address, sizeof address) == 0 && listen(server, 1) == 0);
    MUST(connect(client, (struct sockaddr *)&address, sizeof address) == 0);
    strcpy(address.sun_path, "nothing");
    MUST(connect(client, (struct sockaddr *)&address, sizeof address) < 0);
    return 0;
}
