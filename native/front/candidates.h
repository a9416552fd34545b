/* Values that completion finds on this host: processes, units, containers, groups, tunables. */
#ifndef KSMRUN_FRONT_CANDIDATES_H
#define KSMRUN_FRONT_CANDIDATES_H

#include <stdbool.h>

/* Prints each value of this kind (ksmrun/options/item.py: Values) that begins with start, one per
 * line, with a tab and a description; false for a kind that the shell completes itself. */
bool candidates_print(const char *kind, const char *prefix, const char *start);

/* Prints one line, as above, if value begins with start. prefix goes before the value. */
void candidates_offer(const char *prefix, const char *value, const char *help, const char *start);

#endif
