/* maps N MIB: a process with N mappings of one page each, and so much memory that is equal in all
   copies. It waits for the end of its stdin. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096, PAGES_A_MIB = 256 };

static char *mapped(size_t pages) {
    char *memory =
        mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

int main(int argc, char **argv) {
    size_t maps = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000;
    size_t pages = argc > 2 ? strtoul(argv[2], NULL, 10) * PAGES_A_MIB : 1;
    char byte, *memory = mapped(maps), *equal = mapped(pages);
    if (memory == NULL || equal == NULL)
        return 1;
    for (size_t i = 0; i < maps; i++) {
        memory[i * PAGE] = (char)(i % 7 + 1);
        if (i % 2 == 0 && mprotect(memory + i * PAGE, PAGE, PROT_READ) != 0)
            return 1;
    }
    for (size_t i = 0; i < pages; i++)
        *(size_t *)(equal + i * PAGE) = i + 1;
    puts("ready");
    fflush(stdout);
    return read(STDIN_FILENO, &byte, 1) < 0;
}
