/* The runtime that is called, and where it keeps its containers. */
#ifndef KSMRUN_OCI_RUNTIME_H
#define KSMRUN_OCI_RUNTIME_H

#include <limits.h>
#include <stdbool.h>

#include "arguments.h"

/* Finds it by the rule of --ksmrun-help. Returns false if there is none but this program. */
bool runtime_find(const struct arguments *arguments, char path[PATH_MAX]);

/* Finds the config.json that the container was made with, and the folder of its bundle; "" if that
 * is not recorded. Returns false if it is unknown. */
bool runtime_find_config(const struct arguments *arguments, const char *runtime,
                         char path[PATH_MAX], char bundle[PATH_MAX]);

#endif
