/* frames WHAT NUMBER: runs two nested functions, for debuggers and profilers. crash: ends by a
 * fault there. wait: prints "ready" and waits there. spin: works there, in libc, and in the
 * vDSO. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define VISIBLE __attribute__((noinline, externally_visible))
static volatile unsigned sum;
static char area[1 << 16];

VISIBLE void spin_in_program(void) {
    for (unsigned i = 0; i < 200000; i++)
        sum += i;
}

VISIBLE void spin(int rounds) {
    struct timespec now;
    for (int round = 0; round < rounds; round++) {
        spin_in_program();
        for (int i = 0; i < 4000; i++)
            clock_gettime(CLOCK_MONOTONIC, &now);
        for (int i = 0; i < 100; i++)
            memset(area, round, sizeof area);
    }
}

VISIBLE int inner(int number, const char *what) {
    if (strcmp(what, "crash") == 0)
        *(volatile int *)8 = number;
    if (strcmp(what, "wait") == 0 && puts("ready") >= 0 && fflush(stdout) == 0)
        pause();
    if (strcmp(what, "spin") == 0)
        spin(number);
    return number + 1;
}

VISIBLE int outer(int number, const char *what) {
    return inner(number * 2, what) + 1;
}

int main(int argc, char **argv) {
    return argc != 3 || outer(atoi(argv[2]), argv[1]) == 0;
}
