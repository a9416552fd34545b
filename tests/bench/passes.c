/* passes N MIB OWN: N processes of so much anonymous memory, which merge. Each OWN-th page is each
 * process's own, the others are equal in all of them; 0: none is. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { PAGE_BYTES = 4096, SET_MEMORY_MERGE = 67 };

static void fill(size_t bytes, size_t each, unsigned long own) {
    char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || madvise(memory, bytes, MADV_NOHUGEPAGE) != 0)
        _exit(1);
    for (size_t page = 0; page < bytes / PAGE_BYTES; page++) {
        unsigned long *words = (unsigned long *)(void *)(memory + page * PAGE_BYTES);
        words[0] = page + 1;
        words[1] = each != 0 && page % each == each - 1 ? own : 0;
    }
}

int main(int argc, char **argv) {
    int ready[2], processes = argc == 4 ? atoi(argv[1]) : 0;
    size_t bytes = argc == 4 ? strtoul(argv[2], NULL, 10) << 20 : 0;
    size_t each = argc == 4 ? strtoul(argv[3], NULL, 10) : 0;
    char byte = 'x';
    if (processes <= 0 || bytes == 0 || pipe(ready) != 0)
        return 2;
    for (int i = 0; i < processes; i++) {
        pid_t child = fork();
        if (child < 0)
            return 1;
        if (child > 0)
            continue;
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || prctl(SET_MEMORY_MERGE, 1L, 0L, 0L, 0L) != 0)
            _exit(1);
        fill(bytes, each, (unsigned long)i * 1000003 + 7);
        if (write(ready[1], &byte, 1) != 1)
            _exit(1);
        pause();
        _exit(0);
    }
    for (int i = 0; i < processes; i++)
        if (read(ready[0], &byte, 1) != 1)
            return 1;
    puts("ready");
    fflush(stdout);
    pause();
    return 0;
}
