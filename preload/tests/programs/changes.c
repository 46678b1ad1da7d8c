// Changes, and functions that make several calls inside libc. Expected, without a pass: what the calls below say.
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHECK(condition) do { if (!(condition)) { perror(#condition); exit(1); } } while (0)

int main(void) {
    struct dirent **names;
    char made[] = "made-XXXXXX";
    CHECK(open("new", O_CREAT | O_WRONLY, 0640) >= 0);            // write new Replace Absent
    CHECK(open("new", O_WRONLY | O_TRUNC) >= 0);                  // write new Replace File(416)
    CHECK(open("new", O_RDWR) >= 0);                              // write new Modify File(416)
    CHECK(open("new", O_RDONLY | O_CREAT, 0600) >= 0);            // write new, which was there and is left alone
    CHECK(chmod("new", 0600) == 0);                               // write new Metadata File(416)
    CHECK(rename("new", "newer") == 0);                           // delete new, write newer
    CHECK(symlink("newer", "link") == 0);                         // write link Replace Absent
    CHECK(link("newer", "twin") == 0);                            // read newer, write twin
    CHECK(unlink("link") == 0);                                   // delete link Replace Symlink
    CHECK(mkdir("folder", 0750) == 0);                            // write folder Replace Absent
    CHECK(opendir("folder") != NULL);                             // list folder
    CHECK(scandir("folder", &names, NULL, NULL) == 2);
    CHECK(rmdir("folder") == 0);                                  // delete folder Replace Directory(488)
    CHECK(fopen("newer", "r") != NULL);                           // read newer
    CHECK(fopen("stream", "w") != NULL);                          // write stream Replace Absent
    CHECK(fopen("nothing", "r") == NULL);                         // missing nothing
    CHECK(freopen("newer", "a", fopen("/dev/null", "r")) != NULL);// write newer Modify File(384)
    CHECK(realpath("twin", NULL) != NULL);                        // stat twin
    CHECK(mkstemp(made) >= 0);                                    // write made-...
    CHECK(remove("twin") == 0);                                   // delete twin
    CHECK(mkdir("newer", 0700) == -1);                            // stat newer
    return 0;
}
