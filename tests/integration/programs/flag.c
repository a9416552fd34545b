/* Exits with 0 if the merge flag is set in this program, else 1; as short as possible, for counting
 * launches. With arguments it is the counter: starts `argv[2]...` argv[1] times, on all processors,
 * and prints how many of them exited with 0. */
#define _GNU_SOURCE
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

int main(int argc, char **argv) {
    if (argc < 3)
        return prctl(68, 0L, 0L, 0L, 0L) == 1 ? 0 : 1;
    long wanted = strtol(argv[1], NULL, 10), started = 0, ended = 0, good = 0;
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    while (ended < wanted) {
        pid_t child;
        while (started < wanted && started - ended < processors * 2) {
            if (posix_spawn(&child, argv[2], NULL, NULL, argv + 2, environ) != 0)
                return 99;
            started++;
        }
        int status;
        if (waitpid(-1, &status, 0) < 0)
            return 98;
        ended++;
        good += WIFEXITED(status) && WEXITSTATUS(status) == 0;
    }
    printf("%ld\n", good);
    return 0;
}
