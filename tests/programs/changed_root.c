//! After chroot, names mean something else: the file, the link on the way and what is missing lie below the new root.
// build: -static
// strace: blind
// file: d/real/a.txt
// file: d/real/inner
// link: d/l -> /real
// link: d/up -> ../../../real
// file: d/s.sh #!/real/inner
// file: real/a.txt
// expects: read {dir}/d/real/a.txt
// expects: read {dir}/d/l
// expects: read {dir}/d/real/inner
// expects: missing {dir}/d/none
// expects: list {dir}/d/real
// expects: write {dir}/d/made
// expects: exec {dir}/d/s.sh
// expects-not: any {dir}/real/a.txt
// expects-not: any /l/a.txt
// expects-not: any /none
#include "nasty.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

int main(void) {
    struct stat st;
    if (chroot("d") < 0 && errno == EPERM) CANNOT_RUN();
    MUST(open("/l/a.txt", O_RDONLY) >= 0);
    MUST(open("d/up/inner", O_RDONLY) >= 0);
    MUST(stat("/none", &st) < 0);
    MUST(open("/made", O_WRONLY | O_CREAT, 0644) >= 0);
    DIR *folder = opendir("/../l");
    MUST(folder && readdir(folder));
    pid_t child = fork();
    if (child == 0) {
        execl("/s.sh", "/s.sh", (char *)0);
        _exit(errno);
    }
    int status;
    MUST(waitpid(child, &status, 0) == child && WIFEXITED(status));
    // Its interpreter is no program.
    MUST(WEXITSTATUS(status) == EACCES || WEXITSTATUS(status) == ENOEXEC);
    return 0;
}
