/* seccomp: the filter that the sweeper puts on itself, and what a filter of the program's would do
 * to the sweeper. */
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

/* What the filter answers to a system call of this thread (SECCOMP_RET_...);
 * SECCOMP_RET_KILL_PROCESS for a filter that the kernel would not take. */
uint32_t filter_answer(const struct sock_fprog *program, long number, const long argument[6]);

/* Whether a sweeper started under this filter would live: all that it calls is allowed, or fails
 * with an errno. */
bool filter_lets_sweeper_live(const struct sock_fprog *program);

/* Leaves this thread no system call but those of the sweeper's loop. Returns whether that was done.
 */
bool filter_confine(void);

/* Makes, to no effect, the calls that a sweeper makes: a process that is under a filter already can
 * find out in a child whether that one kills. */
void filter_try_calls(void);

#endif
