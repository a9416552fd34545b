/* Key of a container's layout, derived from the group's key, which no container ever sees. */
#ifndef KSMRUN_OCI_KEY_H
#define KSMRUN_OCI_KEY_H

#include <limits.h>
#include <stdbool.h>

#include "request.h"
#include "spec.h"
#include "tenant.h"

/* Writes it into the bundle, readable only by the tenant's user, and returns its path. Returns
 * false with the obstacle. */
bool key_make(const char *bundle, const char *group, const struct tenant *tenant,
              char path[PATH_MAX], char obstacle[OBSTACLE_BYTES]);

/* Removes an earlier one. */
void key_remove(const char *bundle);

#endif
