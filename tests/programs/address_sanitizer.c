//! AddressSanitizer, which insists on being the first library, and replaces many functions of libc.
// build: -fsanitize=address -pthread
// strace: blind
// ptrace: own
// file: a.txt
// expects: read {dir}/a.txt
// expects: stat {dir}/a.txt
// expects: list {dir}
#include "nasty.h"
#include <dirent.h>
#include <pthread.h>
#include <sys/stat.h>

static void *work(void *unused) {
    struct stat status;
    MUST(stat("a.txt", &status) == 0);
    return unused;
}

int main(void) {
    pthread_t thread;
    FILE *file = fopen("a.txt", "r");
    DIR *folder = opendir(".");
    MUST(file && folder && readdir(folder));
    MUST(pthread_create(&thread, 0, work, 0) == 0 && pthread_join(thread, 0) == 0);
    return fclose(file) | closedir(folder);
}
