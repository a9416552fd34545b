/* faulty [FAULT]: for sanitizers to find. */
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 4, ROUNDS = 10000 };
static int counter;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void *count(void *is_locked) {
    for (int i = 0; i < ROUNDS; i++) {
        if (is_locked != NULL)
            pthread_mutex_lock(&mutex);
        counter++;
        if (is_locked != NULL)
            pthread_mutex_unlock(&mutex);
    }
    return NULL;
}

int main(int argc, char **argv) {
    const char *fault = argc > 1 ? argv[1] : "";
    pthread_t threads[THREADS];
    void *is_locked = strcmp(fault, "race") == 0 ? NULL : &mutex;
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, count, is_locked);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    char *volatile area = malloc(10);
    int volatile number = INT_MAX;
    if (strcmp(fault, "heap") == 0)
        *(char volatile *)(area + 10) = 1;
    if (strcmp(fault, "overflow") == 0)
        number = number + 1;
    if (strcmp(fault, "leak") != 0)
        free(area);
    area = NULL;
    return puts("good") < 0 || number == 0;
}
