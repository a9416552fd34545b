// A program that merges, whose command line is as long as its address space lets it be.
#define _GNU_SOURCE
#include <linux/prctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#ifndef PR_SET_MEMORY_MERGE
#define PR_SET_MEMORY_MERGE 67
#endif

int main(void) {
    size_t size = (size_t)1 << 40;
    char *line = mmap(NULL, size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (line == MAP_FAILED || prctl(PR_SET_MEMORY_MERGE, 1, 0, 0, 0) != 0) {
        perror("mmap");
        return 1;
    }
    strcpy(line, "long");
    unsigned long start = (unsigned long)line;
    struct prctl_mm_map map = {
        .start_code = start,
        .end_code = start + 4096,
        .start_data = start,
        .end_data = start + 4096,
        .start_brk = start + size,
        .brk = start + size,
        .start_stack = start,
        .arg_start = start,
        .arg_end = start + size - 8192,
        .env_start = start + size - 8192,
        .env_end = start + size - 4096,
        .exe_fd = (__u32)-1,
    };
    if (prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof map, 0) != 0) {
        perror("PR_SET_MM_MAP");
        return 1;
    }
    printf("ready\n");
    fflush(stdout);
    for (;;)
        pause();
}
