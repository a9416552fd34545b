/* low place: prints where two pages of MAP_32BIT are.
 * low room MIB: takes so much of it, in one piece.
 * low pieces MIB: the same in pieces of 1 MiB, and gives them back.
 * low brk MIB: makes the brk heap so large.
 * low over: maps over all that lies low, as emulators do. */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifdef BSS
char huge[BSS];
#endif

enum { MIB = 1 << 20 };

static char *get(void *at, size_t bytes, int flags) {
    return mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "";
    size_t mib = argc > 2 ? strtoul(argv[2], NULL, 10) : 1;
    if (strcmp(what, "place") == 0) {
        char *first = get(NULL, 4096, MAP_32BIT), *second = get(NULL, 4096, MAP_32BIT);
        return printf("%p %p\n", (void *)first, (void *)second) < 0;
    }
    if (strcmp(what, "room") == 0)
        return get(NULL, mib * MIB, MAP_32BIT | MAP_NORESERVE) == MAP_FAILED;
    if (strcmp(what, "pieces") == 0) {
        char *pieces[2048];
        for (size_t i = 0; i < mib; i++) {
            pieces[i] = get(NULL, MIB, MAP_32BIT);
            if (pieces[i] == MAP_FAILED || (uintptr_t)pieces[i] + MIB > 0x80000000)
                return 1;
            pieces[i][0] = 1;
        }
        for (size_t i = 0; i < mib; i++)
            munmap(pieces[i], MIB);
        return 0;
    }
    if (strcmp(what, "brk") == 0) {
        char *heap = sbrk((intptr_t)(mib * MIB));
        if (heap == (void *)-1)
            return 1;
        heap[0] = heap[mib * MIB - 1] = 1;
        return 0;
    }
    if (strcmp(what, "over") == 0) {
        char *low = get((void *)0x10000000, 0x70000000, MAP_FIXED | MAP_NORESERVE);
        if (low == MAP_FAILED)
            return 1;
        for (size_t i = 0; i < 0x70000000; i += MIB)
            low[i] = 1;
        return 0;
    }
    return 2;
}
