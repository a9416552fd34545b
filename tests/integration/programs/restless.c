/* restless HOW, until a line comes on stdin:
 *   threads: begins and ends them without pause    execs:   executes itself again and again
 *   signals: a child sends it signals              stops:   and stops and continues it
 *   vforks:  waits for a child of vfork
 */
#define _GNU_SOURCE
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static int has_line(void) {
    struct pollfd in = {0, POLLIN, 0};
    return poll(&in, 1, 0) > 0;
}

static void nothing(int signal) {
    (void)signal;
}

static void *end(void *none) {
    return none;
}

static void *breed(void *none) {
    for (;;) {
        pthread_t one;
        if (pthread_create(&one, NULL, end, NULL) == 0)
            pthread_detach(one);
    }
    return none;
}

static void send_to(pid_t parent, const int *signals) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;)
        for (const int *each = signals; *each != 0; each++)
            kill(parent, *each);
}

int main(int argc, char **argv) {
    static const int storm[] = {SIGUSR1, SIGUSR2, SIGALRM, SIGURG, 0};
    static const int stops[] = {SIGSTOP, SIGCONT, 0};
    const char *how = argc > 1 ? argv[1] : "";
    pid_t own = getpid();
    if (argc == 2) {
        puts("ready");
        fflush(stdout);
    }
    for (const int *each = storm; *each != 0; each++)
        signal(*each, nothing);
    if (strcmp(how, "threads") == 0) {
        pthread_t breeder;
        pthread_create(&breeder, NULL, breed, NULL);
    }
    if (strcmp(how, "signals") == 0 || strcmp(how, "stops") == 0) {
        if (fork() == 0)
            send_to(own, strcmp(how, "stops") == 0 ? stops : storm);
    }
    if (strcmp(how, "vforks") == 0 && vfork() == 0) {
        char byte;
        _exit(read(0, &byte, 1) != 1);
    }
    while (!has_line())
        if (strcmp(how, "execs") == 0)
            execl("/proc/self/exe", argv[0], how, "again", NULL);
        else
            poll(&(struct pollfd){0, POLLIN, 0}, 1, 10);
    puts("well");
    fflush(stdout);
    _exit(0);
}
