/* The monotonic clock. */
#ifndef KSMRUN_CLOCK_H
#define KSMRUN_CLOCK_H

#include <stdint.h>

enum { NS_A_MS = 1000 * 1000, NS_A_SECOND = 1000 * 1000 * 1000 };

int64_t clock_now_ns(void);
int64_t clock_now_ms(void);

#endif
