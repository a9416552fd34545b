/* Memory that the program locks, or keeps out of core dumps, does not merge. See secrets.c. 64-bit.
 */
#ifndef KSMRUN_SECRETS_H
#define KSMRUN_SECRETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "settings.h"

/* Before memory is made mergeable. Returns false where that must not happen. */
bool secrets_begin(const struct settings *settings);
/* After it: what libraries locked before secrets_begin() is taken out. */
void secrets_begun(void);

/* Before the kernel locks these pages or leaves them out of dumps. Returns false if they could
 * still merge: then the call has to fail with EAGAIN. */
bool secrets_keep(uintptr_t start, size_t bytes);
/* The same for all memory, also what the program maps later. */
bool secrets_keep_all(void);

#endif
