#include "reap_i386.h"

#include <string.h>

#if defined(__x86_64__)
/* The same calls as in reap.c. Data is addressed from the page's start, and the jump is relative:
 * without a register that is not 0 after an exec. */
__asm__(".pushsection .rodata\n"
        ".code32\n"
        "reap_i386_code:\n"
        "   .byte 0xbd\n" /* mov $page, %ebp */
        "reap_i386_page: .long 0\n"
        "1: mov $114, %eax\n"
        "   mov reap_i386_child - reap_i386_code(%ebp), %ebx\n"
        "   xor %ecx, %ecx\n"
        "   mov $0x40000000, %edx\n"
        "   xor %esi, %esi\n"
        "   int $0x80\n"
        "   cmp $-4, %eax\n"
        "   je 1b\n"
        "   mov $421, %eax\n" /* rt_sigtimedwait_time64 */
        "   lea reap_i386_set - reap_i386_code(%ebp), %ebx\n"
        "   xor %ecx, %ecx\n"
        "   lea reap_i386_zero - reap_i386_code(%ebp), %edx\n"
        "   mov $8, %esi\n"
        "   int $0x80\n"
        "   mov $175, %eax\n"
        "   mov $2, %ebx\n"
        "   lea reap_i386_mask - reap_i386_code(%ebp), %ecx\n"
        "   xor %edx, %edx\n"
        "   mov $8, %esi\n"
        "   int $0x80\n"
        "   xor %eax, %eax\n"
        "   xor %ebx, %ebx\n"
        "   xor %ecx, %ecx\n"
        "   xor %esi, %esi\n"
        "   xor %ebp, %ebp\n"
        "   .byte 0xe9\n" /* jmp entry */
        "reap_i386_jump: .long 0\n"
        ".balign 8\n"
        "reap_i386_mask: .quad 0\n"
        "reap_i386_set: .quad 0\n"
        "reap_i386_zero: .quad 0, 0\n"
        "reap_i386_child: .long 0\n"
        "reap_i386_end:\n"
        ".code64\n"
        ".popsection\n");
#pragma GCC visibility push(hidden)
extern const unsigned char reap_i386_code[], reap_i386_page[], reap_i386_jump[], reap_i386_mask[],
    reap_i386_set[], reap_i386_child[], reap_i386_end[];
#pragma GCC visibility pop

static void put(unsigned char *page, const unsigned char *at, uint64_t value, size_t bytes) {
    memcpy(page + (at - reap_i386_code), &value, bytes);
}

void reap_fill_i386(unsigned char *page, uint64_t address, const struct reap_values *values) {
    enum { WORD = sizeof(uint32_t) };
    uint64_t after_jump = address + (uint64_t)(reap_i386_jump - reap_i386_code) + WORD;
    memcpy(page, reap_i386_code, (size_t)(reap_i386_end - reap_i386_code));
    put(page, reap_i386_page, address, WORD);
    put(page, reap_i386_jump, values->entry - after_jump, WORD);
    put(page, reap_i386_mask, values->mask, sizeof values->mask);
    put(page, reap_i386_set, values->set, sizeof values->set);
    put(page, reap_i386_child, values->child, WORD);
}
#else
void reap_fill_i386(unsigned char *page, uint64_t address, const struct reap_values *values) {
    (void)page;
    (void)address;
    (void)values;
}
#endif
