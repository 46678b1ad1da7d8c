//! Datagrams sent to sockets in the file system, each with an address of its own.
// expects: stat {dir}/one
// expects: stat {dir}/two
// expects: stat {dir}/three
// expects: missing {dir}/nothing
#include "nasty.h"
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

static struct sockaddr_un named(const char *name) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, name);
    return address;
}

int main(void) {
    struct sockaddr_un names[] = {named("one"), named("two"), named("three"), named("nothing")};
    for (int i = 0; i < 3; i++) {
        int server = socket(AF_UNIX, SOCK_DGRAM, 0);
        MUST(bind(server, (struct sockaddr *)&names[i], sizeof names[i]) == 0);
    }
    int client = socket(AF_UNIX, SOCK_DGRAM, 0);
    struct iovec text = {"x", 1};
    struct mmsghdr both[2] = {0};
    for (int i = 0; i < 2; i++) {
        struct msghdr message = {&names[i + 1], sizeof names[i + 1], &text, 1};
        both[i].msg_hdr = message;
    }
    MUST(sendto(client, "x", 1, 0, (struct sockaddr *)&names[0], sizeof names[0]) == 1);
    MUST(sendmmsg(client, both, 2, 0) == 2);
    struct msghdr message = {&names[3], sizeof names[3], &text, 1};
    MUST(sendmsg(client, &message, 0) < 0);
    return 0;
}
