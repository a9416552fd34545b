/* family COUNT [PROGRAM]: prints "ready", is busy until it can read a byte, and then has COUNT
 * threads fork a child each, at once. All wait until the end of stdin, and end with it, or with the
 * exec of PROGRAM. */
#define _GNU_SOURCE
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static pthread_barrier_t barrier;

static void *fork_one(void *unused) {
    (void)unused;
    pthread_barrier_wait(&barrier); /* all have started */
    pthread_barrier_wait(&barrier); /* all are to fork */
    /* fork(3) would hold locks until the child is released. */
    if (syscall(SYS_clone, (long)SIGCHLD, 0L, 0L, 0L, 0L) == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(STDOUT_FILENO);
    }
    for (;;)
        pause();
}

int main(int argc, char **argv) {
    int count = argc > 1 ? atoi(argv[1]) : 0;
    struct pollfd input = {STDIN_FILENO, POLLIN, 0};
    char byte;
    pthread_barrier_init(&barrier, NULL, (unsigned)count + 1);
    for (int i = 0; i < count; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, fork_one, NULL) != 0)
            return 99;
    }
    pthread_barrier_wait(&barrier);
    puts("ready");
    fflush(stdout);
    while (poll(&input, 1, 0) == 0)
        continue;
    if (read(STDIN_FILENO, &byte, 1) != 1)
        return 98;
    pthread_barrier_wait(&barrier);
    while (read(STDIN_FILENO, &byte, 1) > 0)
        continue;
    return argc > 2 ? execv(argv[2], argv + 2) : 0;
}
