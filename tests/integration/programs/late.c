/* Holds memory in a thread that lives on when the main one has ended. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BYTES = 8 << 20 };

static void *work(void *unused) {
    char *memory = malloc(BYTES);
    if (memory != NULL)
        memset(memory, 5, BYTES);
    pause();
    return unused;
}

int main(void) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, work, NULL) != 0)
        return 1;
    pthread_exit(NULL);
}
