#include "reap.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../common/procfile.h"
#include "reap_i386.h"

/* wait4(child, NULL, __WALL, NULL), again after EINTR; rt_sigtimedwait(set, NULL, zero, 8);
 * rt_sigprocmask(SIG_SETMASK, mask, NULL, 8); all registers as an exec leaves them; then to the
 * program. */
#if defined(__x86_64__)
__asm__(".pushsection .rodata\n"
        "reap_code:\n"
        "1: mov $61, %eax\n"
        "   mov reap_child(%rip), %edi\n"
        "   xor %esi, %esi\n"
        "   mov $0x40000000, %edx\n"
        "   xor %r10d, %r10d\n"
        "   syscall\n"
        "   cmp $-4, %rax\n"
        "   je 1b\n"
        "   mov $128, %eax\n"
        "   lea reap_set(%rip), %rdi\n"
        "   xor %esi, %esi\n"
        "   lea reap_zero(%rip), %rdx\n"
        "   mov $8, %r10d\n"
        "   syscall\n"
        "   mov $14, %eax\n"
        "   mov $2, %edi\n"
        "   lea reap_mask(%rip), %rsi\n"
        "   xor %edx, %edx\n"
        "   mov $8, %r10d\n"
        "   syscall\n"
        "   xor %eax, %eax\n"
        "   xor %ecx, %ecx\n"
        "   xor %esi, %esi\n"
        "   xor %edi, %edi\n"
        "   xor %r10d, %r10d\n"
        "   xor %r11d, %r11d\n"
        "   jmp *reap_entry(%rip)\n"
        ".balign 8\n"
        "reap_entry: .quad 0\n"
        "reap_mask: .quad 0\n"
        "reap_child: .quad 0\n"
        "reap_set: .quad 0\n"
        "reap_zero: .quad 0, 0\n"
        "reap_end:\n"
        ".popsection\n");
#else
/* A register must hold the target address: x17 is one that any branch may change (AAPCS64: IP1).
 * `ret` is the branch that may lead anywhere under BTI. */
__asm__(".pushsection .rodata\n"
        ".balign 8\n"
        "reap_code:\n"
        "1: mov x8, #260\n"
        "   ldr x0, reap_child\n"
        "   mov x1, xzr\n"
        "   mov x2, #0x40000000\n"
        "   mov x3, xzr\n"
        "   svc #0\n"
        "   cmn x0, #4\n"
        "   b.eq 1b\n"
        "   mov x8, #137\n"
        "   adr x0, reap_set\n"
        "   mov x1, xzr\n"
        "   adr x2, reap_zero\n"
        "   mov x3, #8\n"
        "   svc #0\n"
        "   mov x8, #135\n"
        "   mov x0, #2\n"
        "   adr x1, reap_mask\n"
        "   mov x2, xzr\n"
        "   mov x3, #8\n"
        "   svc #0\n"
        "   ldr x17, reap_entry\n"
        "   mov x0, xzr\n"
        "   mov x1, xzr\n"
        "   mov x2, xzr\n"
        "   mov x3, xzr\n"
        "   mov x8, xzr\n"
        "   ret x17\n"
        ".balign 8\n"
        "reap_entry: .quad 0\n"
        "reap_mask: .quad 0\n"
        "reap_child: .quad 0\n"
        "reap_set: .quad 0\n"
        "reap_zero: .quad 0, 0\n"
        "reap_end:\n"
        ".popsection\n");
#endif
/* Local to this file: otherwise gcc would use a global offset table, in which GNU ld puts all of a
 * section's local symbols at its start (aarch64). */
#pragma GCC visibility push(hidden)
extern const unsigned char reap_code[], reap_entry[], reap_mask[], reap_child[], reap_set[],
    reap_end[];
#pragma GCC visibility pop

static void fill(unsigned char *page, const struct reap_values *values) {
    memcpy(page, reap_code, (size_t)(reap_end - reap_code));
    memcpy(page + (reap_entry - reap_code), &values->entry, sizeof values->entry);
    memcpy(page + (reap_mask - reap_code), &values->mask, sizeof values->mask);
    memcpy(page + (reap_child - reap_code), &values->child, sizeof values->child);
    memcpy(page + (reap_set - reap_code), &values->set, sizeof values->set);
}

static uint64_t bit(int signal) {
    return (uint64_t)1 << (signal - 1);
}

static uint64_t signals_in(const char *path, const char *row) {
    char value[64];
    return procfile_row(path, row, value, sizeof value) ? strtoull(value, NULL, 16) : 0;
}

/* Pending for the process or its thread; a SIGCHLD of the program's own must stay. */
static bool has_pending(pid_t pid, int signal) {
    char path[32];
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    return ((signals_in(path, "SigPnd") | signals_in(path, "ShdPnd")) & bit(signal)) != 0;
}

enum { CODE_BYTES = 4096, CODE = PROT_READ | PROT_EXEC, DATA = PROT_READ | PROT_WRITE };

bool reap_is_possible(void) {
    static const unsigned char zero[1];
    int flags = MAP_PRIVATE | MAP_ANONYMOUS;
    void *page = mmap(NULL, CODE_BYTES, CODE, flags, -1, 0);
    if (page == MAP_FAILED)
        return false;
    int memory = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
    bool is_written =
        memory >= 0 && pwrite(memory, zero, sizeof zero, (off_t)(uintptr_t)page) == sizeof zero;
    if (memory >= 0)
        close(memory);
    if (!is_written)
        is_written = mprotect(page, CODE_BYTES, DATA) == 0 && mprotect(page, CODE_BYTES, CODE) == 0;
    munmap(page, CODE_BYTES);
    return is_written;
}

static bool protect(struct injection *injection, uint64_t address, uint64_t protection) {
    return remote_call(injection, mprotect, address, CODE_BYTES, protection) == 0;
}

/* /proc/PID/mem may write where the program may not (mem_rw in fs/proc/base.c), and flushes the
 * instruction cache (copy_to_user_page in arch/arm64/mm/flush.c). Since 6.12 a kernel may forbid
 * that (proc_mem.force_override=never); other systems let no program change its code (prctl(2):
 * PR_SET_MDWE). */
static bool write_code(struct injection *injection, uint64_t address, const unsigned char *page) {
    return injection_write(injection, address, page, CODE_BYTES) ||
           (protect(injection, address, DATA) &&
            injection_write(injection, address, page, CODE_BYTES) &&
            protect(injection, address, CODE));
}

const char *reap_first(struct injection *injection, pid_t child, uint64_t address) {
    unsigned char page[CODE_BYTES] = {0};
    const struct reap_values values = {
        .entry = PROGRAM_COUNTER(injection->registers),
        .mask = injection->signal_mask,
        .child = (uint64_t)child,
        .set = has_pending(injection->pid, SIGCHLD) ? 0 : bit(SIGCHLD),
    };
    uint64_t flags = MAP_PRIVATE | MAP_ANONYMOUS | (address == 0 ? 0 : MAP_FIXED);
    int64_t mapped = remote_call(injection, mmap, address, CODE_BYTES, CODE, flags, (uint64_t)-1);
    if (mapped < 0 && mapped >= INJECT_LOST)
        return "mapping the page that waits for the helper";
    address = (uint64_t)mapped;
    if (injection->is_i386)
        reap_fill_i386(page, address, &values);
    else
        fill(page, &values);
    if (!write_code(injection, address, page))
        return "writing the page that waits for the helper";
    PROGRAM_COUNTER(injection->registers) = address;
    injection->signal_mask = ~(uint64_t)0;
    return NULL;
}
