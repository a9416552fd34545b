/* Holds memory in a thread that lives on when the main one has ended. No two pages are equal, as
 * other tests may have switched KSM on. */
#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

enum { BYTES = 8 << 20, PAGE = 4096 };

static void *work(void *unused) {
    char *memory = aligned_alloc(PAGE, BYTES);
    for (size_t at = 0; memory != NULL && at < BYTES; at += PAGE)
        if (getrandom(memory + at, 16, 0) != 16)
            abort();
    pause();
    return unused;
}

int main(void) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, work, NULL) != 0)
        return 1;
    pthread_exit(NULL);
}
