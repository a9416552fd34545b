/* Launcher on the host. */
#ifndef KSMRUN_OCI_LAUNCHER_H
#define KSMRUN_OCI_LAUNCHER_H

#include <limits.h>
#include <stdbool.h>

#include "spec.h"

/* ksmrun-exec beside this program, if it can be executed in a container; else the obstacle. */
bool launcher_find(char path[PATH_MAX], char obstacle[OBSTACLE_BYTES]);

#endif
