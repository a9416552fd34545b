// A program that merges, with a name and a command line of the caller's choice, and many threads.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#ifndef PR_SET_MEMORY_MERGE
#define PR_SET_MEMORY_MERGE 67
#endif

static void *wait(void *unused) {
    for (;;)
        pause();
    return unused;
}

int main(int count, char **words) {
    pthread_attr_t small;
    if (count < 3 || prctl(PR_SET_MEMORY_MERGE, 1, 0, 0, 0) != 0 ||
        pthread_attr_init(&small) != 0 || pthread_attr_setstacksize(&small, 1 << 16) != 0) {
        perror("merge");
        return 1;
    }
    for (int i = atoi(words[2]); i > 0; i--) {
        pthread_t thread;
        if (pthread_create(&thread, &small, wait, NULL) != 0)
            break;
    }
    prctl(PR_SET_NAME, words[1]);
    printf("ready\n");
    fflush(stdout);
    for (;;)
        pause();
}
