/* What is said of a launch that does not get all that was asked for. */
#ifndef KSMRUN_NOTICE_H
#define KSMRUN_NOTICE_H

#include <stdbool.h>

#include "options.h"

/* Reports that something requested is impossible. Returns whether to start the program anyway. */
bool fail_open(const struct options *options, const char *what, const char *todo);

/* The flag alone merges nothing while ksmd is off; ksmd can be switched on later, so this is no
 * failure. */
void warn_if_ksmd_is_off(const struct options *options);

#endif
