/* Fields of the text of /proc/PID/stat, by their numbers in proc_pid_stat(5). Pure.
 *
 * The process chooses the name before them, which may contain anything. */
#ifndef KSMRUN_PROCSTAT_H
#define KSMRUN_PROCSTAT_H

#include <stdint.h>

enum procstat_field {
    STAT_STATE = 3, /* a letter */
    STAT_FLAGS = 9,
    STAT_MINOR_FAULTS = 10,
    STAT_START_TIME = 22,
    STAT_START_CODE = 26,
    STAT_END_CODE = 27,
    STAT_START_STACK = 28,
    STAT_START_DATA = 45,
    STAT_END_DATA = 46,
    STAT_START_BRK = 47,
    STAT_ARG_START = 48,
    STAT_ARG_END = 49,
    STAT_ENV_START = 50,
    STAT_ENV_END = 51,
};

/* Returns the state's letter; 0 if there is none. */
char procstat_state(const char *text);

/* Returns a number that is not negative; 0 if there is none. */
uint64_t procstat_number(const char *text, enum procstat_field field);

#endif
