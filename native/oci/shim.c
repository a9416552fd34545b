#include "shim.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../exec/kernel_trial.h"

bool shim_is_wanted(enum mechanism mechanism) {
    return mechanism == MECHANISM_PRELOAD ||
           (mechanism == MECHANISM_AUTO && kernel_keeps_vmas_apart());
}

bool shim_bind(yyjson_mut_doc *document, const char *launcher, const struct places *places) {
    char folder[PATH_MAX + 16];
    snprintf(folder, sizeof folder, "%.*s/shim", (int)(strrchr(launcher, '/') - launcher),
             launcher);
    return access(folder, R_OK | X_OK) == 0 && spec_bind(document, folder, places->shim);
}
