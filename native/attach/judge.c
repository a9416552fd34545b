#include "judge.h"

#include <errno.h>
#include <sys/ptrace.h>

#include "../shim/filter.h"

/* include/uapi/linux/ptrace.h, Linux 6.4; 0x4210 is the setter. */
#define GET_SYSCALL_USER_DISPATCH_CONFIG 0x4211
struct dispatch_configuration {
    uint64_t mode, selector, offset, length;
};
/* include/uapi/linux/seccomp.h */
enum { ANSWER_ALLOW = 0x7fff0000, ANSWER_LOG = 0x7ffc0000 };
enum { FILTER_LENGTH_MAX = 4096, FILTERS_MAX = 64 };

static bool catches_its_calls(pid_t tid) {
    struct dispatch_configuration configuration = {0};
    return ptrace(GET_SYSCALL_USER_DISPATCH_CONFIG, tid, sizeof configuration, &configuration) ==
               0 &&
           configuration.mode != 0;
}

/* All filters must allow it (seccomp(2)). */
static bool filters_allow(pid_t tid, const struct call *call) {
    static struct sock_filter filter[FILTER_LENGTH_MAX];
    long arguments[6];
    for (int i = 0; i < 6; i++)
        arguments[i] = (long)call->arguments[i];
    for (long index = 0; index < FILTERS_MAX; index++) {
        long length = ptrace(PTRACE_SECCOMP_GET_FILTER, tid, index, NULL);
        /* EINVAL: no filter at all. */
        if (length < 0)
            return errno == ENOENT || (index == 0 && errno == EINVAL);
        if (length > FILTER_LENGTH_MAX ||
            ptrace(PTRACE_SECCOMP_GET_FILTER, tid, index, filter) != length)
            return false;
        struct sock_fprog program = {(unsigned short)length, filter};
        uint32_t answer = filter_answer(&program, call->number, arguments) & 0xffff0000u;
        if (answer != ANSWER_ALLOW && answer != ANSWER_LOG)
            return false;
    }
    return false;
}

/* Strict mode has no filter to show, and allows nothing. Kernels without seccomp have no such line.
 * Checked per thread: each may have filters of its own. */
static bool seccomp_allows(const struct process *process, pid_t tid, const struct call *call) {
    char mode[16];
    if (!thread_field(process, tid, "Seccomp:", mode, sizeof mode))
        return !thread_has_ended(process, tid);
    return *mode == '0' || (*mode == '2' && filters_allow(tid, call));
}

enum outcome judge(const struct process *process, pid_t tid, const struct call *call) {
    if (catches_its_calls(tid))
        return ATTACH_DISPATCHED;
    return seccomp_allows(process, tid, call) ? ATTACH_DONE : ATTACH_FILTERED;
}
