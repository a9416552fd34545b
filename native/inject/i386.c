#include "i386.h"

#include <stddef.h>
#include <sys/syscall.h>

/* arch/x86/entry/syscalls/syscall_32.tbl */
enum { I386_EXECVE = 11, I386_EXECVEAT = 358, I386_MMAP2 = 192, MMAP2_UNIT_BYTES = 4096 };

static const struct {
    long native, i386;
} calls[] = {
    {SYS_close, 6},         {SYS_exit_group, 252}, {SYS_madvise, 219}, {SYS_mmap, I386_MMAP2},
    {SYS_mprotect, 125},    {SYS_mremap, 163},     {SYS_munmap, 91},   {SYS_openat, 295},
    {SYS_personality, 136}, {SYS_prctl, 172},
};

long i386_call(long number, uint64_t arguments[6]) {
    if (number == SYS_mmap)
        arguments[5] /= MMAP2_UNIT_BYTES;
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        if (calls[i].native == number)
            return calls[i].i386;
    return -1;
}

long i386_native_exec(uint64_t number) {
    switch (number) {
    case I386_EXECVE:
        return SYS_execve;
    case I386_EXECVEAT:
        return SYS_execveat;
    default:
        return -1;
    }
}

/* arch/x86/include/asm/segment.h: __USER32_CS; Xen's is another (xen-foreign/x86_64.h:
 * FLAT_RING3_CS32). */
bool i386_is_code_segment(uint64_t selector) {
    return selector == 0x23 || selector == 0xe023;
}

#if defined(__x86_64__)
void i386_set_arguments(struct user_regs_struct *registers, const uint64_t arguments[6]) {
    registers->rbx = (uint32_t)arguments[0];
    registers->rcx = (uint32_t)arguments[1];
    registers->rdx = (uint32_t)arguments[2];
    registers->rsi = (uint32_t)arguments[3];
    registers->rdi = (uint32_t)arguments[4];
    registers->rbp = (uint32_t)arguments[5];
}
#endif
