/* The runtime behind, and where it keeps its containers. */
#ifndef KSMRUN_OCI_RUNTIME_H
#define KSMRUN_OCI_RUNTIME_H

#include <limits.h>
#include <stdbool.h>

#include "arguments.h"

/* By the rule of --ksmrun-help. Returns false where there is none but this program. */
bool runtime_find(const struct arguments *arguments, char path[PATH_MAX]);

/* The config.json that the container was made with, and the folder of its bundle; "" where that is
 * not told. Returns false where it is not known. */
bool runtime_find_config(const struct arguments *arguments, const char *runtime,
                         char path[PATH_MAX], char bundle[PATH_MAX]);

#endif
