/* A process with known pages: pages SEED UNIQUE WITHIN ACROSS ZERO UNTOUCHED [fork|change]
 *   fork: a child shares them all. change: the unique ones keep changing. Prints "ready". */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { PAGE = 4096 };

static unsigned char *fill(unsigned char *at, long pages, uint64_t seed, int varies) {
    for (long i = 0; i < pages; i++, at += PAGE) {
        uint64_t words[PAGE / 8];
        uint64_t state = seed * 0x9e3779b97f4a7c15u + (uint64_t)(varies ? i + 1 : 0);
        for (size_t word = 0; word < PAGE / 8; word++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            words[word] = state | 1;
        }
        memcpy(at, words, PAGE);
    }
    return at;
}

int main(int argc, char **argv) {
    if (argc < 7)
        return 2;
    uint64_t seed = strtoull(argv[1], NULL, 10);
    long unique = atol(argv[2]), within = atol(argv[3]), across = atol(argv[4]);
    long zero = atol(argv[5]), untouched = atol(argv[6]);
    size_t size = (size_t)(unique + within + across + zero + untouched) * PAGE + PAGE;
    unsigned char *memory =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || madvise(memory, size, MADV_NOHUGEPAGE) != 0)
        return 1;
    unsigned char *at = fill(memory, unique, seed, 1);
    at = fill(at, within, seed + 1000000, 0);
    at = fill(at, across, 77, 1);
    for (long i = 0; i < zero; i++, at += PAGE)
        *(volatile unsigned char *)at = 0;
    for (long i = 0; i < untouched; i++, at += PAGE)
        if (*(volatile unsigned char *)at != 0)
            return 1;
    const char *mode = argc > 7 ? argv[7] : "";
    pid_t parent = getpid();
    if (strcmp(mode, "fork") == 0 && fork() == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        while (getppid() == parent)
            pause();
        return 0;
    }
    puts("ready");
    fflush(stdout);
    for (uint64_t turn = 0; strcmp(mode, "change") == 0; turn++)
        for (long i = 0; i < unique; i++)
            memcpy(memory + i * PAGE, &turn, sizeof turn);
    for (;;)
        pause();
}
