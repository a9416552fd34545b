#include "inject.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../common/clock.h"
#include "i386.h"
#include "wait.h"

enum { INSTRUCTION_BYTES_MAX = 4 };
struct instruction {
    unsigned char bytes[INSTRUCTION_BYTES_MAX];
    size_t length, align;
};

#if defined(__x86_64__)
static const struct instruction native = {{0x0f, 0x05}, 2, 1};

/* These give the registers of 64 bits also of a tracee with 32, unlike NT_PRSTATUS
 * (arch/x86/kernel/ptrace.c: arch_ptrace, task_user_regset_view). */
static int get_registers(pid_t pid, struct user_regs_struct *registers) {
    return ptrace(PTRACE_GETREGS, pid, 0L, registers) == 0 ? 0 : -errno;
}

static int set_registers(pid_t pid, const struct user_regs_struct *registers) {
    return ptrace(PTRACE_SETREGS, pid, 0L, registers) == 0 ? 0 : -errno;
}

static bool runs_i386(const struct user_regs_struct *registers) {
    return i386_is_code_segment(registers->cs);
}

static void set_call(struct user_regs_struct *registers, uint64_t at, long number,
                     const uint64_t arguments[6]) {
    registers->rip = at;
    registers->rax = (unsigned long long)number;
    /* No system call to restart (arch/x86/kernel/signal.c). */
    registers->orig_rax = (unsigned long long)-1;
    if (runs_i386(registers)) {
        i386_set_arguments(registers, arguments);
        return;
    }
    registers->rdi = arguments[0];
    registers->rsi = arguments[1];
    registers->rdx = arguments[2];
    registers->r10 = arguments[3];
    registers->r8 = arguments[4];
    registers->r9 = arguments[5];
}

static int64_t result_of(const struct user_regs_struct *registers) {
    return (int64_t)registers->rax;
}

static uint64_t number_of(const struct user_regs_struct *registers) {
    return registers->orig_rax;
}

/* At the entry to a call, which the kernel then skips (arch/x86/entry/common.c: do_syscall_64). */
static int cancel_call(pid_t pid, struct user_regs_struct *registers) {
    registers->orig_rax = (unsigned long long)-1;
    return set_registers(pid, registers);
}

#elif defined(__aarch64__)
static const struct instruction native = {{0x01, 0x00, 0x00, 0xd4}, 4, 4};
enum { PSTATE_BTYPE = 3 << 10 };

static int get_registers(pid_t pid, struct user_regs_struct *registers) {
    struct iovec vector = {registers, sizeof *registers};
    return ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &vector) == 0 ? 0 : -errno;
}

static int set_registers(pid_t pid, const struct user_regs_struct *registers) {
    struct iovec vector = {(void *)registers, sizeof *registers};
    return ptrace(PTRACE_SETREGSET, pid, NT_PRSTATUS, &vector) == 0 ? 0 : -errno;
}

static bool runs_i386(const struct user_regs_struct *registers) {
    (void)registers;
    return false;
}

static void set_call(struct user_regs_struct *registers, uint64_t at, long number,
                     const uint64_t arguments[6]) {
    registers->pc = at;
    /* BTI must not check the branch that led here (Arm ARM: PSTATE.BTYPE). */
    registers->pstate &= ~(unsigned long long)PSTATE_BTYPE;
    registers->regs[8] = (unsigned long long)number;
    for (int i = 0; i < 6; i++)
        registers->regs[i] = arguments[i];
}

static int64_t result_of(const struct user_regs_struct *registers) {
    return (int64_t)registers->regs[0];
}

static uint64_t number_of(const struct user_regs_struct *registers) {
    return registers->regs[8];
}

/* At the entry to a call, which the kernel then skips (arch/arm64/kernel/ptrace.c:
 * NT_ARM_SYSTEM_CALL; include/uapi/linux/elf.h). */
static int cancel_call(pid_t pid, struct user_regs_struct *registers) {
    enum { SYSTEM_CALL = 0x404 };
    int none = -1;
    struct iovec vector = {&none, sizeof none};
    (void)registers;
    return ptrace(PTRACE_SETREGSET, pid, SYSTEM_CALL, &vector) == 0 ? 0 : -errno;
}

#else
#error "injecting knows x86_64 and aarch64"
#endif

static const struct instruction *instruction_of(const struct injection *injection) {
    static const struct instruction i386 = {{0xcd, 0x80}, 2, 1};
    return injection->is_i386 ? &i386 : &native;
}

/* The kernel's signal set, of 8 bytes: libc's is larger. */
static int set_signal_mask(pid_t pid, uint64_t mask) {
    return ptrace(PTRACE_SETSIGMASK, pid, sizeof mask, &mask) == 0 ? 0 : -errno;
}

int injection_begin(struct injection *injection, pid_t pid) {
    char path[32];
    snprintf(path, sizeof path, "/proc/%d/mem", pid);
    *injection = (struct injection){.pid = pid, .memory = open(path, O_RDWR | O_CLOEXEC)};
    if (injection->memory < 0)
        return -errno;
    uint64_t *mask = &injection->signal_mask;
    int error = ptrace(PTRACE_GETSIGMASK, pid, sizeof *mask, mask) == 0 ? 0 : -errno;
    if (error == 0)
        error = get_registers(pid, &injection->registers);
    injection->is_i386 = error == 0 && runs_i386(&injection->registers);
    if (error == 0)
        error = set_signal_mask(pid, ~(uint64_t)0);
    if (error != 0)
        close(injection->memory);
    return error;
}

bool injection_find_instruction(struct injection *injection, uint64_t start, uint64_t end) {
    const struct instruction *instruction = instruction_of(injection);
    unsigned char piece[4096 + INSTRUCTION_BYTES_MAX];
    for (uint64_t at = start; at < end; at += 4096) {
        size_t size = end - at < sizeof piece ? end - at : sizeof piece;
        if (!injection_read(injection, at, piece, size))
            return false;
        for (size_t i = 0; i + instruction->length <= size; i += instruction->align) {
            if (memcmp(piece + i, instruction->bytes, instruction->length) == 0) {
                injection->instruction = at + i;
                return true;
            }
        }
    }
    return false;
}

void inject_take_back(struct injection *injection) {
    injection->is_taken_back = ptrace(PTRACE_INTERRUPT, injection->pid, 0L, 0L) == 0;
}

/* STOP_CALL: at the entry to or exit from a system call. STOP_BACK: on its way, as requested by
 * inject_take_back. STOP_FAULT: its code is not the program's, or has changed. */
enum stop { STOP_CALL, STOP_BACK, STOP_FAULT, STOP_GONE };

/* One limit for the whole call, although each signal that arrives causes a stop. */
static int wait_patiently(struct injection *injection) {
    if (injection->limit_ns == 0)
        return wait_for_stop(injection->pid, INT64_MAX);
    for (;;) {
        if (clock_now_ns() >= injection->until_ns) {
            injection->until_ns += injection->limit_ns;
            injection->late(injection, ++injection->late_times);
        }
        int status = wait_for_stop(injection->pid, injection->until_ns);
        if (status != WAIT_LATE)
            return status;
    }
}

static enum stop go_on(struct injection *injection) {
    enum { STOPS_MAX = 1000 };
    long signal_to_give = 0;
    for (int stops = 0; stops < STOPS_MAX || injection->limit_ns != 0; stops++) {
        if (ptrace(PTRACE_SYSCALL, injection->pid, 0L, signal_to_give) != 0)
            return STOP_GONE;
        int status = wait_patiently(injection);
        if (status == WAIT_GONE)
            return STOP_GONE;
        int signal = WSTOPSIG(status), event = status >> 16;
        /* PTRACE_O_TRACESYSGOOD */
        if (signal == (SIGTRAP | 0x80))
            return STOP_CALL;
        if (event == PTRACE_EVENT_STOP && injection->is_taken_back)
            return STOP_BACK;
        /* Cannot be postponed. */
        if (event == 0 && (signal == SIGSEGV || signal == SIGBUS || signal == SIGILL))
            return STOP_FAULT;
        /* SIGSTOP cannot be blocked. The process counts as stopped then, but continues: whoever
         * sends SIGCONT may be a tracee that waits for us. PTRACE_DETACH and PTRACE_INTERRUPT make
         * the stop effective again, if no SIGCONT came (kernel/ptrace.c: __ptrace_unlink;
         * kernel/signal.c: do_jobctl_trap). */
        signal_to_give = event == 0 && signal == SIGSTOP ? SIGSTOP : 0;
    }
    return STOP_FAULT;
}

bool injection_is_possible(const struct injection *injection) {
    const struct instruction *instruction = instruction_of(injection);
    unsigned char found[INSTRUCTION_BYTES_MAX];
    return injection_read(injection, injection->instruction, found, instruction->length) &&
           memcmp(found, instruction->bytes, instruction->length) == 0;
}

bool inject_go_on(pid_t pid) {
    struct injection injection = {.pid = pid};
    return go_on(&injection) == STOP_CALL;
}

/* include/linux/errno.h: ERESTARTSYS and similar. The kernel would restart the call after the
 * signal; here the registers are ours, so we do it. mremap(2) of memory that merges is such a call
 * (mm/ksm.c: unmerge_ksm_pages), and a SIGSTOP cannot be blocked. */
static bool is_to_be_restarted(int64_t result) {
    return result <= -512 && result >= -516;
}

/* Another thread of the tracee may have changed the code since it was read. */
static bool is_our_call(const struct injection *injection, long number,
                        const struct user_regs_struct *registers) {
    return PROGRAM_COUNTER(*registers) ==
               injection->instruction + instruction_of(injection)->length &&
           number_of(registers) == (uint64_t)number;
}

/* Runs from one set of registers to the next. */
static enum stop make_call(struct injection *injection, long number,
                           struct user_regs_struct *registers) {
    injection->is_in_call = false;
    enum stop stop = go_on(injection);
    if (stop != STOP_CALL)
        return stop;
    if (get_registers(injection->pid, registers) != 0)
        return STOP_GONE;
    bool is_ours = is_our_call(injection, number, registers);
    if (!is_ours && cancel_call(injection->pid, registers) != 0)
        return STOP_GONE;
    injection->is_in_call = true;
    stop = go_on(injection);
    injection->is_in_call = false;
    if (stop == STOP_CALL && get_registers(injection->pid, registers) != 0)
        return STOP_GONE;
    return stop == STOP_CALL && !is_ours ? STOP_FAULT : stop;
}

int64_t inject(struct injection *injection, long number, const uint64_t arguments[6]) {
    enum { RESTARTS_MAX = 1000 };
    struct user_regs_struct registers;
    uint64_t own_arguments[6];
    if (injection->is_i386) {
        memcpy(own_arguments, arguments, sizeof own_arguments);
        number = i386_call(number, own_arguments);
        arguments = own_arguments;
        if (number < 0)
            return injection->result = -ENOSYS;
    }
    injection->result = -512;
    injection->is_taken_back = false;
    injection->late_times = 0;
    injection->until_ns = clock_now_ns() + injection->limit_ns;
    for (int i = 0; is_to_be_restarted(injection->result) && i < RESTARTS_MAX; i++) {
        if (injection->is_taken_back)
            return injection->result = INJECT_LATE;
        registers = injection->registers;
        set_call(&registers, injection->instruction, number, arguments);
        if (set_registers(injection->pid, &registers) != 0)
            return injection->result = INJECT_LOST;
        enum stop stop = make_call(injection, number, &registers);
        if (stop != STOP_CALL)
            return injection->result = stop == STOP_BACK ? INJECT_LATE : INJECT_LOST;
        injection->result = result_of(&registers);
    }
    return injection->result;
}

int injection_end(struct injection *injection) {
    int error = set_registers(injection->pid, &injection->registers);
    if (error == 0)
        error = set_signal_mask(injection->pid, injection->signal_mask);
    close(injection->memory);
    return error;
}

bool injection_read(const struct injection *injection, uint64_t address, void *to, size_t size) {
    return pread(injection->memory, to, size, (off_t)address) == (ssize_t)size;
}

bool injection_write(const struct injection *injection, uint64_t address, const void *from,
                     size_t size) {
    return pwrite(injection->memory, from, size, (off_t)address) == (ssize_t)size;
}
