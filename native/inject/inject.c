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

#if defined(__x86_64__)
static const unsigned char instruction[] = {0x0f, 0x05};
enum { INSTRUCTION_ALIGN = 1 };

static void set_call(struct user_regs_struct *registers, uint64_t at, long number,
                     const uint64_t arguments[6]) {
    registers->rip = at;
    registers->rax = (unsigned long long)number;
    registers->rdi = arguments[0];
    registers->rsi = arguments[1];
    registers->rdx = arguments[2];
    registers->r10 = arguments[3];
    registers->r8 = arguments[4];
    registers->r9 = arguments[5];
    /* No system call to be restarted (arch/x86/kernel/signal.c). */
    registers->orig_rax = (unsigned long long)-1;
}

static int64_t result_of(const struct user_regs_struct *registers) {
    return (int64_t)registers->rax;
}

#elif defined(__aarch64__)
static const unsigned char instruction[] = {0x01, 0x00, 0x00, 0xd4};
enum { INSTRUCTION_ALIGN = 4, PSTATE_BTYPE = 3 << 10 };

static void set_call(struct user_regs_struct *registers, uint64_t at, long number,
                     const uint64_t arguments[6]) {
    registers->pc = at;
    /* No branch that BTI would look at led here (Arm ARM: PSTATE.BTYPE). */
    registers->pstate &= ~(unsigned long long)PSTATE_BTYPE;
    registers->regs[8] = (unsigned long long)number;
    for (int i = 0; i < 6; i++)
        registers->regs[i] = arguments[i];
}

static int64_t result_of(const struct user_regs_struct *registers) {
    return (int64_t)registers->regs[0];
}

#else
#error "injecting knows x86_64 and aarch64"
#endif

static int get_registers(pid_t pid, struct user_regs_struct *registers) {
    struct iovec vector = {registers, sizeof *registers};
    return ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &vector) == 0 ? 0 : -errno;
}

static int set_registers(pid_t pid, const struct user_regs_struct *registers) {
    struct iovec vector = {(void *)registers, sizeof *registers};
    return ptrace(PTRACE_SETREGSET, pid, NT_PRSTATUS, &vector) == 0 ? 0 : -errno;
}

/* The kernel's own set, of 8 bytes: libc's is larger. */
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
    if (error == 0)
        error = set_signal_mask(pid, ~(uint64_t)0);
    if (error != 0)
        close(injection->memory);
    return error;
}

bool injection_find_instruction(struct injection *injection, uint64_t start, uint64_t end) {
    unsigned char piece[4096 + sizeof instruction];
    for (uint64_t at = start; at < end; at += 4096) {
        size_t size = end - at < sizeof piece ? end - at : sizeof piece;
        if (!injection_read(injection, at, piece, size))
            return false;
        for (size_t i = 0; i + sizeof instruction <= size; i += INSTRUCTION_ALIGN) {
            if (memcmp(piece + i, instruction, sizeof instruction) == 0) {
                injection->instruction = at + i;
                return true;
            }
        }
    }
    return false;
}

bool inject_go_on(pid_t pid) {
    enum { STOPS_MAX = 1000 };
    long signal_to_give = 0;
    for (int stops = 0; stops < STOPS_MAX; stops++) {
        int status;
        if (ptrace(PTRACE_SYSCALL, pid, 0L, signal_to_give) != 0)
            return false;
        while (waitpid(pid, &status, __WALL) < 0)
            if (errno != EINTR)
                return false;
        if (!WIFSTOPPED(status))
            return false;
        int signal = WSTOPSIG(status), event = status >> 16;
        /* PTRACE_O_TRACESYSGOOD */
        if (signal == (SIGTRAP | 0x80))
            return true;
        /* A fault in code that is not the program's: nothing that could be put off. */
        if (event == 0 && (signal == SIGSEGV || signal == SIGBUS || signal == SIGILL))
            return false;
        /* SIGSTOP cannot be blocked. The process counts as stopped then, but this goes on: whoever
         * sends SIGCONT may be a tracee that waits for us. PTRACE_DETACH and PTRACE_INTERRUPT put
         * the stop back in force, if no SIGCONT came (kernel/ptrace.c: __ptrace_unlink;
         * kernel/signal.c: do_jobctl_trap). */
        signal_to_give = event == 0 && signal == SIGSTOP ? SIGSTOP : 0;
    }
    return false;
}

/* include/linux/errno.h: ERESTARTSYS and its kin. The kernel would make the call again after the
 * signal; here the registers are ours, so we do. mremap(2) of memory that merges is such a call
 * (mm/ksm.c: unmerge_ksm_pages), and a SIGSTOP cannot be blocked. */
static bool is_to_be_restarted(int64_t result) {
    return result <= -512 && result >= -516;
}

int64_t inject(struct injection *injection, long number, const uint64_t arguments[6]) {
    enum { RESTARTS_MAX = 1000 };
    struct user_regs_struct registers;
    injection->result = -512;
    for (int i = 0; is_to_be_restarted(injection->result) && i < RESTARTS_MAX; i++) {
        registers = injection->registers;
        set_call(&registers, injection->instruction, number, arguments);
        if (set_registers(injection->pid, &registers) != 0 || !inject_go_on(injection->pid) ||
            !inject_go_on(injection->pid) || get_registers(injection->pid, &registers) != 0)
            return injection->result = INJECT_LOST;
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
