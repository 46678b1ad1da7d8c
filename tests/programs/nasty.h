// What the programs share: the ways to give up.
#pragma once
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

// Ends the program with a message unless the condition holds.
#define MUST(condition)             \
    do {                            \
        if (!(condition)) {         \
            perror(#condition);     \
            _exit(1);               \
        }                           \
    } while (0)

// Ends the program with the status that says: this machine can't do that.
#define CANNOT_RUN() _exit(77)
