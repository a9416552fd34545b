/* The one reader of /proc/PID/stat (proc_pid_stat(5)). Freestanding, since the shim is built from
 * it too. */
#ifndef KSMRUN_PIDSTAT_H
#define KSMRUN_PIDSTAT_H

#include <stdbool.h>
#include <stddef.h>

/* Numbers of fields, as in the manual page. */
enum pidstat_field {
    PIDSTAT_PARENT = 4,
    PIDSTAT_FLAGS = 9,
    PIDSTAT_MINOR_FAULTS = 10,
    PIDSTAT_USER_TICKS = 14,
    PIDSTAT_SYSTEM_TICKS = 15,
    PIDSTAT_THREADS = 20,
    PIDSTAT_START_TICKS = 22,
    PIDSTAT_START_CODE = 26,
    PIDSTAT_END_CODE = 27,
    PIDSTAT_START_STACK = 28,
    PIDSTAT_START_DATA = 45,
    PIDSTAT_END_DATA = 46,
    PIDSTAT_START_BRK = 47,
    PIDSTAT_ARG_START = 48,
    PIDSTAT_ARG_END = 49,
    PIDSTAT_ENV_START = 50,
    PIDSTAT_ENV_END = 51,
    PIDSTAT_EXIT_CODE = 52,
    PIDSTAT_FIELDS,
};

/* Room for it: 50 numbers of up to 20 digits, and a name of up to 64 bytes. */
enum { PIDSTAT_BYTES = 1280 };

struct pidstat {
    char state;
    /* From the fourth on; negative ones as two's complement. Not uint64_t: the 32-bit shim may be
     * compiled with the headers of 64-bit musl, where that is a long. */
    unsigned long long fields[PIDSTAT_FIELDS];
};

/* Reads the file's text. The name may contain anything, also ')': what follows its last one counts.
 * Returns false if a field is missing or cut off, or is not a number. */
bool pidstat_parse(const char *text, size_t bytes, struct pidstat *stat);

#endif
