/* passes N MIB: N processes of so much anonymous memory, which merge. Three quarters of the pages
 * are equal in all of them, a quarter is each one's own. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { PAGE_BYTES = 4096, SET_MEMORY_MERGE = 67 };

static void fill(size_t bytes, unsigned long own) {
    char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || madvise(memory, bytes, MADV_NOHUGEPAGE) != 0)
        _exit(1);
    for (size_t page = 0; page < bytes / PAGE_BYTES; page++) {
        unsigned long *words = (unsigned long *)(void *)(memory + page * PAGE_BYTES);
        words[0] = page + 1;
        words[1] = page % 4 == 3 ? own : 0;
    }
}

int main(int argc, char **argv) {
    int ready[2], processes = argc == 3 ? atoi(argv[1]) : 0;
    size_t bytes = argc == 3 ? strtoul(argv[2], NULL, 10) << 20 : 0;
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
        fill(bytes, (unsigned long)i * 1000003 + 7);
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
