#include "pidstat.h"

#include <limits.h>

/* A blank and a decimal number, of which the kernel writes no more digits than fit. Returns where
 * it ends, or NULL. */
static const char *read_number(const char *at, const char *end, unsigned long long *number) {
    if (at == end || *at++ != ' ')
        return NULL;
    bool is_negative = at < end && *at == '-';
    at += is_negative;
    const char *first = at;
    unsigned long long value = 0;
    for (; at < end && *at >= '0' && *at <= '9'; at++) {
        unsigned digit = (unsigned)(*at - '0');
        /* A constant is divided, because for variables i386 has no instruction. */
        if (value > ULLONG_MAX / 10 || value * 10 > ULLONG_MAX - digit)
            return NULL;
        value = value * 10 + digit;
    }
    *number = is_negative ? -value : value;
    return at == first ? NULL : at;
}

bool pidstat_parse(const char *text, size_t bytes, struct pidstat *stat) {
    enum { FIRST_NUMBER = 4, STATE_BYTES = 3 };
    const char *at = text + bytes, *end = at;
    while (at > text && at[-1] != ')')
        at--;
    /* ") S ..." */
    if (at == text || end - at < STATE_BYTES || at[0] != ' ')
        return false;
    stat->state = at[1];
    at += STATE_BYTES - 1;
    for (int field = FIRST_NUMBER; field < PIDSTAT_FIELDS && at != NULL; field++)
        at = read_number(at, end, &stat->fields[field]);
    return at != NULL && at < end && (*at == '\n' || *at == ' ');
}
