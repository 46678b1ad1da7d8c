//! The working directory has been removed: nothing is found there, but the way up still leads on.
// file: a.txt
// dir: gone
// expects: read {dir}/a.txt
// expects: delete {dir}/gone
// expects: stat {dir}/a.txt
#include <err.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

int main(void) {
    struct stat status;
    if (chdir("gone") != 0 || rmdir("../gone") != 0)
        err(1, "gone");
    if (open("a.txt", O_RDONLY) != -1 || open(".", O_RDONLY) == -1)
        err(1, "found");
    if (open("../a.txt", O_RDONLY) == -1 || stat("../a.txt", &status) != 0)
        err(1, "../a.txt");
    char *arguments[] = {"cat", "../a.txt", NULL};
    execv("/bin/cat", arguments);
    err(1, "cat");
}
