/* interrupts: calls that the shim's thread steps aside for, in a handler of a signal that arrives
 * while the program makes them too. Ends by itself. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

static volatile sig_atomic_t seen;

static void handle(int number) {
    (void)number;
    seen++;
    setpriority(PRIO_PGRP, 0, 0);
}

int main(void) {
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};
    struct itimerval often = {{0, 2000}, {0, 2000}};
    if (sigaction(SIGALRM, &action, NULL) != 0 || setitimer(ITIMER_REAL, &often, NULL) != 0)
        return 99;
    while (seen < 200)
        setpriority(PRIO_PGRP, 0, 0);
    return 0;
}
