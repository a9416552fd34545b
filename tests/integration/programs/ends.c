/* Ends by one thread while the other, the first, is working: at a random time within this many
 * ms. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static void *end_soon(void *limit_us) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    usleep((useconds_t)(now.tv_nsec / 1000 % *(long *)limit_us));
    _exit(0);
}

int main(int argc, char **argv) {
    long limit_us = argc > 1 ? atol(argv[1]) * 1000 : 1000;
    pthread_t other;
    puts("ready");
    fflush(stdout);
    if (pthread_create(&other, NULL, end_soon, &limit_us) != 0)
        return 1;
    for (;;)
        ;
}
