/* Result as one JSON object. */
#ifndef KSMRUN_OUTPUT_H
#define KSMRUN_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "look.h"
#include "tally.h"

struct result {
    const struct look *look;
    const struct tally *tally;
    const struct process *processes;
    size_t process_count;
    double read_seconds;           /* without the wait before a second reading */
    double volatile_after_seconds; /* 0: read once */
};

/* Writes it to stdout. Returns whether that succeeded. */
bool output_write(const struct result *result);

#endif
