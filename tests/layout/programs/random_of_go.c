/* Static, and with the note of Go's linker and without a C library, as a program of Go is. Prints
 * the random value that the kernel gave it (getauxval(3): AT_RANDOM). */
#include <elf.h>
#include <sys/syscall.h>

__asm__(".section .note.go.buildid, \"a\", @note\n"
        ".balign 4\n.long 4, 4, 4\n.asciz \"Go\\0\"\n.ascii \"test\"\n.text\n"
        ".globl _start\n_start: mov %rsp, %rdi\nand $-16, %rsp\ncall begin\n");

#ifdef HAS_C
/* As errno is, in each program with a C library. */
__attribute__((used)) __thread int of_each_thread = 1;
#endif

static long call(long number, long first, const void *second, long third) {
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(first), "S"(second), "d"(third)
                     : "rcx", "r11", "memory");
    return result;
}

__attribute__((used)) void begin(const long *stack) {
    const long *word = stack + 1 + stack[0] + 1;
    while (*word++ != 0)
        ;
    for (; word[0] != AT_NULL; word += 2)
        if (word[0] == AT_RANDOM)
            call(SYS_write, 1, (const void *)word[1], 16);
    call(SYS_exit_group, 0, 0, 0);
}
