/* maps N: a process with N mappings of one page each, which waits for the end of its stdin. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int main(int argc, char **argv) {
    size_t maps = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000, page = 4096;
    char byte, *memory = mmap(NULL, maps * page, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return 1;
    for (size_t i = 0; i < maps; i++) {
        memory[i * page] = (char)(i % 7 + 1);
        if (i % 2 == 0 && mprotect(memory + i * page, page, PROT_READ) != 0)
            return 1;
    }
    puts("ready");
    fflush(stdout);
    return read(STDIN_FILENO, &byte, 1) < 0;
}
