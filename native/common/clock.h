/* Time that passes. */
#ifndef KSMRUN_CLOCK_H
#define KSMRUN_CLOCK_H

#include <stdint.h>

/* Milliseconds of CLOCK_MONOTONIC. */
int64_t now_ms(void);

#endif
