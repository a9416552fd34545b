/* i386's system calls, for tracees that run code of 32 bits on a kernel of 64. */
#ifndef KSMRUN_I386_H
#define KSMRUN_I386_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/user.h>

/* Returns i386's number for one of this machine's, and changes the arguments where they differ; -1:
 * none is known. Only for calls that read no structure, or one that has the same form. */
long i386_call(long number, uint64_t arguments[6]);

/* The reverse, for calls that execute a program; -1: it is another call. */
long i386_native_exec(uint64_t number);

/* Returns whether a value of the register cs selects code of 32 bits. */
bool i386_is_code_segment(uint64_t selector);

#if defined(__x86_64__)
/* As `int $0x80` takes them. */
void i386_set_arguments(struct user_regs_struct *registers, const uint64_t arguments[6]);
#endif

#endif
