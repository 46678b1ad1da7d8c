// The loads of scripts/bench: one kind of file access each, as fast as a program can make it.
//
//     bench opens  DIR COUNT         open and close COUNT distinct files
//     bench fopens DIR COUNT         the same by fopen(3)
//     bench stats  DIR COUNT FILES   stat FILES distinct files, COUNT times in all
//     bench reads  DIR COUNT         open, read and close COUNT distinct files
//     bench writes DIR COUNT SIZE    make COUNT files of SIZE bytes, with the directories they lie in
//
// and the measuring of one run, since a child of Python would begin with the memory of Python:
//
//     bench measure FILE COMMAND...  write its wall and CPU seconds, its largest process in KiB and its status to FILE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { FILES_IN_A_DIRECTORY = 1000 };

static char buffer[1 << 20];

static void must(int holds, const char *path) {
    if (!holds) {
        perror(path);
        exit(1);
    }
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static double seconds(struct timeval time) { return time.tv_sec + time.tv_usec / 1e6; }

static int measure(const char *file, char **command) {
    double began = now();
    pid_t child = fork();
    if (child == 0) {
        execvp(command[0], command);
        perror(command[0]);
        _exit(127);
    }
    int status;
    struct rusage usage;
    must(wait4(child, &status, 0, &usage) == child, command[0]);
    double wall = now() - began, cpu = seconds(usage.ru_utime) + seconds(usage.ru_stime);
    FILE *out = fopen(file, "w");
    must(out != NULL, file);
    fprintf(out, "%.9f %.6f %ld %d\n", wall, cpu, usage.ru_maxrss, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    return fclose(out) != 0;
}

int main(int count_of_arguments, char **arguments) {
    if (count_of_arguments < 4) return 2;
    if (strcmp(arguments[1], "measure") == 0) return measure(arguments[2], arguments + 3);
    const char *load = arguments[1], *directory = arguments[2];
    long count = atol(arguments[3]), fourth = count_of_arguments > 4 ? atol(arguments[4]) : 0;
    char path[4096];
    for (long i = 0; i < count; i++) {
        long file = *load == 's' ? i % fourth : i;
        int length = snprintf(path, sizeof path, "%s/%ld", directory, file / FILES_IN_A_DIRECTORY);
        if (*load == 'w' && file % FILES_IN_A_DIRECTORY == 0) mkdir(path, 0755);
        snprintf(path + length, sizeof path - length, "/%ld", file % FILES_IN_A_DIRECTORY);
        if (*load == 's') {
            struct stat status;
            must(stat(path, &status) == 0, path);
            continue;
        }
        if (*load == 'f') {
            FILE *stream = fopen(path, "r");
            must(stream != NULL, path);
            fclose(stream);
            continue;
        }
        int fd = open(path, *load == 'w' ? O_WRONLY | O_CREAT | O_TRUNC : O_RDONLY, 0644);
        must(fd >= 0, path);
        if (*load == 'r') must(read(fd, buffer, sizeof buffer) >= 0, path);
        if (*load == 'w') {
            // No two files alike, so that none can be stored as another.
            memcpy(buffer, &i, fourth < (long)sizeof i ? fourth : (long)sizeof i);
            must(write(fd, buffer, fourth) == fourth, path);
        }
        close(fd);
    }
    return 0;
}
