/* equal MIB SEED: holds this much memory with the same bytes in every process of the same seed,
 * none of it zero or equal within the process; grows it by brk and by mmap in small steps, as
 * allocators do. Prints how many VMAs that took, waits for the end of stdin, and prints how many of
 * its pages are merged and its total number of VMAs. */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static int vmas(void) {
    FILE *maps = fopen("/proc/self/maps", "re");
    int count = 0, byte;
    while (maps && (byte = fgetc(maps)) != EOF)
        count += byte == '\n';
    if (maps)
        fclose(maps);
    return count;
}

/* A file of its own since 6.1; -1 before. */
static long merged_pages(void) {
    FILE *file = fopen("/proc/self/ksm_merging_pages", "re");
    long pages = -1;
    if (file == NULL || fscanf(file, "%ld", &pages) != 1)
        pages = -1;
    if (file != NULL)
        fclose(file);
    return pages;
}

static void fill(char *from, size_t size, uint64_t *state) {
    for (size_t i = 0; i < size; i += 8) {
        *state = *state * 6364136223846793005u + 1442695040888963407u;
        memcpy(from + i, state, 8);
    }
}

int main(int argc, char **argv) {
    size_t mib = argc > 1 ? strtoul(argv[1], NULL, 10) : 4;
    uint64_t state = argc > 2 ? strtoull(argv[2], NULL, 10) : 42;
    const size_t step = (size_t)sysconf(_SC_PAGESIZE);
    int before = vmas();
    char *brk = (char *)syscall(SYS_brk, 0);
    brk = (char *)(((uintptr_t)brk + step - 1) & ~(step - 1));
    syscall(SYS_brk, brk);
    for (size_t done = 0; done < mib << 19; done += step, brk += step) {
        if ((char *)syscall(SYS_brk, brk + step) != brk + step)
            return 97;
        fill(brk, step, &state);
    }
    int after_brk = vmas();
    for (size_t done = 0; done < mib << 19; done += step) {
        char *page = mmap(NULL, step, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (page == MAP_FAILED)
            return 98;
        fill(page, step, &state);
    }
    printf("vmas %d %d\n", after_brk - before, vmas() - after_brk);
    printf("page %zu\n", step);
    fflush(stdout);
    getchar();
    printf("merged %ld\n", merged_pages());
    printf("maps %d\n", vmas());
    return 0;
}
