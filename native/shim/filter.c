#include "filter.h"

#include <stddef.h>

#include "linux.h"
#include "syscalls.h"

static const uint32_t ret_kill_process = 0x80000000u, ret_errno = 0x00050000u,
                      ret_log = 0x7ffc0000u, ret_allow = 0x7fff0000u, ret_action = 0xffff0000u;

/* struct seccomp_data, as the 32-bit words that a filter loads. */
enum { DATA_WORDS = 16, DATA_NUMBER = 0, DATA_ARCH = 1, DATA_ARGUMENTS = 4 };
enum { SCRATCH_WORDS = 16 };

/* include/uapi/linux/bpf_common.h: class, size and mode, operation, source. */
enum { LD = 0, LDX, ST, STX, ALU, JMP, RET, MISC };
enum { IMM = 0x00, ABS = 0x20, MEM = 0x60, LEN = 0x80 };

static bool operate(unsigned operation, uint32_t *a, uint32_t operand) {
    switch (operation) {
    case 0x00:
        *a += operand;
        return true;
    case 0x10:
        *a -= operand;
        return true;
    case 0x20:
        *a *= operand;
        return true;
    case 0x30:
        if (operand == 0)
            return false;
        *a /= operand;
        return true;
    case 0x40:
        *a |= operand;
        return true;
    case 0x50:
        *a &= operand;
        return true;
    case 0x60:
    case 0x70:
        if (operand > 31)
            return false;
        *a = operation == 0x60 ? *a << operand : *a >> operand;
        return true;
    case 0x80:
        *a = -*a;
        return true;
    case 0xa0:
        *a ^= operand;
        return true;
    default:
        return false;
    }
}

static bool holds(unsigned operation, uint32_t a, uint32_t operand) {
    switch (operation) {
    case 0x10:
        return a == operand;
    case 0x20:
        return a > operand;
    case 0x30:
        return a >= operand;
    default:
        return (a & operand) != 0;
    }
}

static uint32_t run(const struct sock_fprog *program, const uint32_t data[DATA_WORDS]) {
    uint32_t a = 0, x = 0, scratch[SCRATCH_WORDS] = {0};
    for (unsigned at = 0; at < program->length; at++) {
        const struct sock_filter *op = &program->filter[at];
        unsigned mode = op->code & 0xe0, operation = op->code & 0xf0;
        uint32_t operand = op->code & 0x08 ? x : op->k, *target = op->code & 1 ? &x : &a;
        bool is_slot = op->k < SCRATCH_WORDS;
        switch (op->code & 7) {
        case LD:
        case LDX:
            if (mode == IMM)
                *target = op->k;
            else if (mode == ABS && op->k % 4 == 0 && op->k < DATA_WORDS * 4)
                *target = data[op->k / 4];
            else if (mode == MEM && is_slot)
                *target = scratch[op->k];
            else if (mode == LEN)
                *target = DATA_WORDS * 4;
            else
                return ret_kill_process;
            break;
        case ST:
        case STX:
            if (!is_slot)
                return ret_kill_process;
            scratch[op->k] = *target;
            break;
        case ALU:
            if (!operate(operation, &a, operand))
                return ret_kill_process;
            break;
        case JMP:
            if (operation == 0)
                at += op->k;
            else
                at += holds(operation, a, operand) ? op->jt : op->jf;
            break;
        case RET:
            return op->code & 0x10 ? a : op->k;
        case MISC:
            if (op->code & 0x80)
                a = x;
            else
                x = a;
            break;
        }
    }
    return ret_kill_process;
}

uint32_t filter_answer(const struct sock_fprog *program, long number, const long argument[6]) {
    uint32_t data[DATA_WORDS] = {
        [DATA_NUMBER] = (uint32_t)number, [DATA_ARCH] = (uint32_t)AUDIT_ARCH};
    for (int i = 0; i < 6; i++) {
        unsigned long long value = (unsigned long)argument[i];
        data[DATA_ARGUMENTS + 2 * i] = (uint32_t)value;
        data[DATA_ARGUMENTS + 2 * i + 1] = (uint32_t)(value >> 32);
    }
    return run(program, data);
}

/* Filters tend to check the arguments of prctl, madvise, clone and unshare. First the calls of the
 * loop, which the sweeper's own filter allows, then the others that must not fail. */
enum { LOOP_CALLS = 6, VITAL_CALLS = 10 };
static const struct {
    long number, argument[6];
} calls[] = {
    {NUMBER_PREAD64, {-1}},
    {NUMBER_PWRITE64, {-1}},
    {NUMBER_MADVISE, {0, 0, MADV_MERGEABLE}},
    {NUMBER_FUTEX, {0, FUTEX_WAIT_PRIVATE}},
    {NUMBER_CLOCK_GETTIME, {3}},
    {NUMBER_EXIT, {0}},
    {NUMBER_CLONE, {CLONE_THREAD_FLAGS}},
    {NUMBER_RT_SIGPROCMASK, {2}},
    {NUMBER_GETPID, {0}},
    {NUMBER_TGKILL, {0}},
    {NUMBER_PRCTL, {PR_SET_NAME}},
    {NUMBER_PRCTL, {PR_SET_NO_NEW_PRIVS, 1}},
    {NUMBER_PRCTL, {PR_SET_SECCOMP, SECCOMP_MODE_FILTER}},
    {NUMBER_OPENAT, {-1}},
    {NUMBER_GETDENTS64, {-1}},
    {NUMBER_CLOSE, {-1}},
    {NUMBER_CLOSE_RANGE, {0, -1, 2}},
    {NUMBER_UNSHARE, {CLONE_FILES}},
    {NUMBER_CAPSET, {0}},
    {NUMBER_MEMFD_CREATE, {0, 1}},
    {NUMBER_SCHED_SETSCHEDULER, {-1}},
    {NUMBER_GETPPID, {0}},
    {NUMBER_GETRUSAGE, {0}},
};
enum { CALLS = sizeof calls / sizeof *calls };

bool filter_lets_sweeper_live(const struct sock_fprog *program) {
    for (int i = 0; i < CALLS; i++) {
        uint32_t action = filter_answer(program, calls[i].number, calls[i].argument) & ret_action;
        bool is_harmless = action == ret_errno && i >= VITAL_CALLS;
        if (action != ret_allow && action != ret_log && !is_harmless)
            return false;
    }
    return true;
}

void filter_try_calls(void) {
    for (int i = 0; i < CALLS; i++) {
        long argument[6];
        for (int j = 0; j < 6; j++)
            argument[j] = calls[i].argument[j];
        /* Without it the kernel refuses to create a thread (clone(2)). */
        if (calls[i].number == NUMBER_CLONE)
            argument[0] &= ~(long)CLONE_SIGHAND;
        if (calls[i].number != NUMBER_EXIT)
            system_call(calls[i].number, argument);
    }
}

bool filter_confine(void) {
    enum { ERROR_PERM = 1, JUMP_IF_EQUAL = 0x15, LOAD = 0x20, RETURN = 0x06 };
    /* After the jumps: priority of its own thread, and to the lowest class only. */
    enum { PRIORITY_OPS = 5, HEAD_OPS = 3 };
    struct sock_filter filter[HEAD_OPS + LOOP_CALLS + PRIORITY_OPS + 2];
    int length = 0;
    filter[length++] = (struct sock_filter){LOAD, 0, 0, DATA_ARCH * 4};
    filter[length++] =
        (struct sock_filter){JUMP_IF_EQUAL, 0, LOOP_CALLS + PRIORITY_OPS + 2, (uint32_t)AUDIT_ARCH};
    filter[length++] = (struct sock_filter){LOAD, 0, 0, DATA_NUMBER * 4};
    for (int i = 0; i < LOOP_CALLS; i++)
        filter[length++] =
            (struct sock_filter){JUMP_IF_EQUAL, (uint8_t)(LOOP_CALLS - 1 - i + PRIORITY_OPS), 0,
                                 (uint32_t)calls[i].number};
    filter[length++] = (struct sock_filter){JUMP_IF_EQUAL, 0, 5, NUMBER_SCHED_SETSCHEDULER};
    filter[length++] = (struct sock_filter){LOAD, 0, 0, DATA_ARGUMENTS * 4};
    filter[length++] = (struct sock_filter){JUMP_IF_EQUAL, 0, 3, 0};
    filter[length++] = (struct sock_filter){LOAD, 0, 0, (DATA_ARGUMENTS + 2) * 4};
    filter[length++] = (struct sock_filter){JUMP_IF_EQUAL, 0, 1, SCHED_OTHER};
    filter[length++] = (struct sock_filter){RETURN, 0, 0, ret_allow};
    filter[length++] = (struct sock_filter){RETURN, 0, 0, ret_errno | ERROR_PERM};
    struct sock_fprog program = {(unsigned short)length, filter};
    /* Not seccomp(2), which systemd's @system-service does not contain. */
    return SYSTEM_CALL(NUMBER_PRCTL, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, (long)&program) == 0;
}
