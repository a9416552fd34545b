/* work WHAT N: does WHAT N times. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, LIVE = 4096, THREADS = 16, PIECE = 64 };

/* Sizes of every kind, many allocated at once. */
static void allocate(long count) {
    static char *live[LIVE];
    unsigned state = 1;
    for (long i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        char **slot = &live[state >> 20];
        free(*slot);
        size_t size = state >> 8 & 2047;
        *slot = malloc(size + 1);
        (*slot)[size] = 1;
    }
}

static void map(long count) {
    for (long i = 0; i < count; i++) {
        char *area =
            mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (area == MAP_FAILED)
            exit(1);
        area[PAGE] = 1;
        munmap(area, 16 * PAGE);
    }
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static long left;

static void *serve(void *unused) {
    for (;;) {
        pthread_mutex_lock(&lock);
        while (left == 0)
            pthread_cond_wait(&changed, &lock);
        long request = left > 0 ? left-- : left;
        pthread_mutex_unlock(&lock);
        if (request < 0)
            return unused;
        for (int i = 0; i < PIECE; i++) {
            char *text = malloc(1000);
            snprintf(text, 1000, "%ld %d", request, i);
            free(text);
        }
    }
}

static void server(long count) {
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, serve, NULL) != 0)
            exit(1);
    pthread_mutex_lock(&lock);
    left = count;
    pthread_cond_broadcast(&changed);
    while (left > 0) {
        pthread_mutex_unlock(&lock);
        usleep(1000);
        pthread_mutex_lock(&lock);
    }
    left = -1;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

static int compare(const void *first, const void *second) {
    long a = *(const long *)first, b = *(const long *)second;
    return (a > b) - (a < b);
}

static long now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000L + now.tv_nsec;
}

/* Children that end at once, each waited for. Prints the nanoseconds that the fastest tenth takes
 * at most, which other work on the machine hardly changes. */
static void forks(long count) {
    long *times = calloc((size_t)count, sizeof *times);
    for (long i = 0; i < count; i++) {
        long before = now_ns();
        pid_t child = fork();
        if (child == 0)
            _exit(0);
        int status = 0;
        if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
            exit(1);
        times[i] = now_ns() - before;
    }
    qsort(times, (size_t)count, sizeof *times, compare);
    printf("%ld\n", times[count / 10]);
    free(times);
}

/* Makes many VMAs, then a change before each sweep for some seconds. */
static void vmas(long count) {
    char *area = mmap(NULL, (size_t)count * 32 * PAGE, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (long i = 0; i < count; i += 2)
        mprotect(area + i * 32 * PAGE, 32 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
    for (int i = 0; i < 40; i++) {
        usleep(100 * 1000);
        map(1);
        if (mmap(NULL, 16 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
            exit(1);
    }
    puts("ready");
    fflush(stdout);
    getchar();
}

static void hold(long mib) {
    memset(malloc((size_t)mib << 20), 1, (size_t)mib << 20);
    sleep(1);
    puts("ready");
    fflush(stdout);
    getchar();
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        void (*run)(long);
    } works[] = {{"malloc", allocate}, {"mmap", map},  {"server", server},
                 {"forks", forks},     {"vmas", vmas}, {"hold", hold}};
    for (size_t i = 0; argc == 3 && i < sizeof works / sizeof *works; i++) {
        if (strcmp(argv[1], works[i].name) == 0) {
            works[i].run(atol(argv[2]));
            return 0;
        }
    }
    return 2;
}
