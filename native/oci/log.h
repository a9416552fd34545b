/* Writes one line to the runtime's log. */
#ifndef KSMRUN_OCI_LOG_H
#define KSMRUN_OCI_LOG_H

#include "arguments.h"

enum level { LEVEL_WARNING, LEVEL_ERROR };

/* To the --log file in its --log-format, else to stderr. Engines show their users the last line of
 * the level "error". */
__attribute__((format(printf, 3, 4))) void log_line(const struct arguments *arguments,
                                                    enum level level, const char *format, ...);

#endif
