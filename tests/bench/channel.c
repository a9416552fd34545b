/* channel keep SEED PAGES: locks memory and fills it, one page of bytes a number, as a keeper of
 *   secrets does. channel guess SEED PAGES: fills twice as many, where each even page is what it
 *   guesses of the other's, and each odd one is a guess that is wrong. At the end of stdin it
 * writes a byte into each, and prints one line a page: nanoseconds of that write. Both print
 * "ready" before. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096 };

static void fill(unsigned char *at, uint64_t state) {
    for (size_t i = 0; i < PAGE; i += sizeof state) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        memcpy(at + i, &state, sizeof state);
    }
}

static long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000L + time.tv_nsec;
}

int main(int argc, char **argv) {
    if (argc < 4)
        return 2;
    int guesses = strcmp(argv[1], "guess") == 0;
    uint64_t seed = strtoull(argv[2], NULL, 10) << 32;
    size_t pages = strtoul(argv[3], NULL, 10) * (guesses ? 2 : 1);
    unsigned char *memory =
        mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    long *took = calloc(pages, sizeof *took);
    if (memory == MAP_FAILED || took == NULL || (!guesses && mlock(memory, pages * PAGE) != 0))
        return 1;
    for (size_t i = 0; i < pages; i++) {
        int is_wrong = guesses && i % 2 == 1;
        uint64_t number = guesses ? i / 2 : i;
        fill(memory + i * PAGE, seed + number + (is_wrong ? (uint64_t)1 << 31 : 0));
    }
    printf("ready\n");
    fflush(stdout);
    char byte;
    if (read(0, &byte, 1) != 0)
        return 1;
    if (!guesses)
        return 0;
    for (size_t i = 0; i < pages; i++) {
        volatile unsigned char *at = memory + i * PAGE;
        unsigned char value = *at; /* its address translation is cached now */
        long before = now();
        *at = value;
        took[i] = now() - before;
    }
    for (size_t i = 0; i < pages; i++)
        printf("%ld\n", took[i]);
    return 0;
}
