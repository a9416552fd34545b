/* Makes system calls in another process, through ptrace(2).
 *
 *     struct injection tracee;
 *     if (injection_begin(&tracee, pid) == 0) {
 *         if (injection_find_instruction(&tracee, vdso_start, vdso_end)) {
 *             int64_t page = remote_call(&tracee, mmap, 0, 4096, PROT_READ, MAP_PRIVATE |
 *                                        MAP_ANONYMOUS, (uint64_t)-1);
 *             if (page > 0 && injection_read(&tracee, (uint64_t)page, bytes, sizeof bytes))
 *                 remote_call(&tracee, munmap, (uint64_t)page, 4096);
 *         }
 *         injection_end(&tracee);
 *     }
 *
 * The tracee must be stopped between two instructions of its own: after a system call's exit, or
 * where PTRACE_INTERRUPT stopped it. Until injection_end its signals are blocked. */
#ifndef KSMRUN_INJECT_H
#define KSMRUN_INJECT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/user.h>

/* Fields of struct user_regs_struct. */
#if defined(__x86_64__)
#define PROGRAM_COUNTER(registers) ((registers).rip)
#define STACK_POINTER(registers) ((registers).rsp)
#else
#define PROGRAM_COUNTER(registers) ((registers).pc)
#define STACK_POINTER(registers) ((registers).sp)
#endif

struct injection {
    pid_t pid;
    int memory; /* descriptor of /proc/PID/mem */
    /* Whether the tracee runs code of 32 bits, and so i386's calls are made in it (i386.h). */
    bool is_i386;
    /* Address of a `syscall`, `int $0x80` or `svc` instruction in the tracee. Update it if its
     * mapping is moved. */
    uint64_t instruction;
    struct user_regs_struct registers; /* as they will be when the tracee continues */
    uint64_t signal_mask;              /* the same */
    int64_t result;                    /* of the last call, as returned by inject */
    /* After this time in inject(), `late` is called, and again each time that as much has passed.
     * 0: wait for a call without limit, as the layout does for the program that it moves. */
    int64_t limit_ns;
    /* May call inject_take_back. times: number of calls so far for this system call. */
    void (*late)(struct injection *injection, unsigned times);
    void *state; /* of `late` */
    int64_t until_ns;
    unsigned late_times;
    bool is_in_call;    /* whether the call has begun */
    bool is_taken_back; /* by inject_take_back */
};

/* Lets the tracee run to the next entry to or exit from a system call; a stop signal takes
 * effect only from PTRACE_DETACH or PTRACE_INTERRUPT on. Returns false if the tracee is gone or
 * crashed. */
bool inject_go_on(pid_t pid);

/* Saves the stopped tracee's registers and blocks its signals. Returns 0 or -errno. */
int injection_begin(struct injection *injection, pid_t pid);

/* Finds the instruction in the tracee's memory from start to end. */
bool injection_find_instruction(struct injection *injection, uint64_t start, uint64_t end);

/* Returns whether the instruction is still there: the tracee may have executed another program. */
bool injection_is_possible(const struct injection *injection);

/* LOST: the tracee is gone, or its code is not what was read: another thread of it may write there.
 * LATE: the call was taken back. */
enum { INJECT_LATE = -4097, INJECT_LOST = -4096 };

/* Makes the call, which has this machine's number also if the tracee is one of i386. Returns the
 * kernel's result: a value or -errno; INJECT_LOST or INJECT_LATE. The
 * tracee is stopped afterwards, unless it is gone. */
int64_t inject(struct injection *injection, long number, const uint64_t arguments[6]);

/* The same by name, with the arguments as uint64_t; those that are left out are 0. */
#define remote_call(injection, name, ...)                                                          \
    inject(injection, SYS_##name, (const uint64_t[6]){__VA_ARGS__})

/* Makes a call that is late end as soon as the tracee can be stopped, without another try. */
void inject_take_back(struct injection *injection);

/* Restores registers and signal mask from injection. The tracee stays stopped. Returns 0 or
 * -errno. */
int injection_end(struct injection *injection);

/* Access the tracee's memory. Both return whether everything was transferred. */
bool injection_read(const struct injection *injection, uint64_t address, void *to, size_t size);
bool injection_write(const struct injection *injection, uint64_t address, const void *from,
                     size_t size);

#endif
