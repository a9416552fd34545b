/* zeros [huge]: has read 64 GiB of untouched memory, in huge pages; or 4 GiB. That takes only page
 * tables. */
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

int main(int argc, char **argv) {
    (void)argv;
    size_t bytes = argc > 1 ? 64UL << 30 : 4UL << 30;
    volatile char *all = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (all == MAP_FAILED ||
        madvise((void *)all, bytes, argc > 1 ? MADV_HUGEPAGE : MADV_NOHUGEPAGE) != 0)
        return 1;
    size_t step = argc > 1 ? 1 << 21 : 1 << 12;
    for (size_t at = 0; at + step <= bytes; at += step)
        (void)all[at];
    puts("ready");
    fflush(stdout);
    pause();
}
