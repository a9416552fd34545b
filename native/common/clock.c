#include "clock.h"

#include <time.h>

int64_t clock_now_ns(void) {
    struct timespec now;
    /* Cannot fail: the clock exists, and the address is valid (clock_gettime(2)). */
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * NS_A_SECOND + now.tv_nsec;
}

int64_t clock_now_ms(void) {
    return clock_now_ns() / NS_A_MS;
}
