/* The key of a container's layout: it follows from the group's, which no container gets to see. */
#ifndef KSMRUN_OCI_KEY_H
#define KSMRUN_OCI_KEY_H

#include <limits.h>
#include <stdbool.h>

#include "request.h"
#include "spec.h"
#include "tenant.h"

/* Writes it into the bundle, so that the tenant's user alone can read it, and gives its path.
 * Returns false with the obstacle. */
bool key_make(const char *bundle, const char *group, const struct tenant *tenant,
              char path[PATH_MAX], char obstacle[OBSTACLE_BYTES]);

/* Takes an earlier one away. */
void key_remove(const char *bundle);

#endif
