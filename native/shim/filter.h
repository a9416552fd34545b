/* seccomp: the filter that the sweeper installs for itself, and the effect of a filter of the
 * program's on the sweeper. */
#ifndef KSMRUN_FILTER_H
#define KSMRUN_FILTER_H

#include <stdbool.h>
#include <stdint.h>

/* include/uapi/linux/filter.h */
struct sock_filter {
    uint16_t code;
    uint8_t jt, jf;
    uint32_t k;
};

struct sock_fprog {
    unsigned short length;
    const struct sock_filter *filter;
};

/* Result of the filter for a system call of this thread (SECCOMP_RET_...); SECCOMP_RET_KILL_PROCESS
 * for a filter that the kernel would reject. */
uint32_t filter_answer(const struct sock_fprog *program, long number, const long argument[6]);

/* Returns whether a sweeper started under this filter would survive: all its calls are allowed, or
 * fail with an errno. */
bool filter_lets_sweeper_live(const struct sock_fprog *program);

/* Leaves this thread only the system calls of the sweeper's loop. Returns whether that
 * succeeded. */
bool filter_confine(void);

/* Makes, without effect, the calls that a sweeper makes: a process that already has a filter can
 * find out in a child whether that kills. */
void filter_try_calls(void);

#endif
