#include "shim.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "../exec/kernel_trial.h"

bool shim_is_wanted(enum mechanism mechanism) {
    return mechanism == MECHANISM_PRELOAD ||
           (mechanism == MECHANISM_AUTO && kernel_keeps_vmas_apart());
}

/* Mounts the folder, if it exists. */
static bool bind_folder(yyjson_mut_doc *document, const char *source, const char *place) {
    return access(source, R_OK | X_OK) == 0 && spec_bind(document, source, place);
}

bool shim_bind(yyjson_mut_doc *document, const char *launcher, const struct places *places) {
    static const char *const names[] = {"lib", "lib32", "lib64"};
    char source[PATH_MAX + 128], place[PATH_MAX + 16];
    struct utsname machine;
    int length = (int)(strrchr(launcher, '/') - launcher);
    if (uname(&machine) != 0)
        return false;
    snprintf(source, sizeof source, "%.*s/lib/%.32s-linux-gnu", length, launcher, machine.machine);
    if (!bind_folder(document, source, places->shim))
        return false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(source, sizeof source, "%.*s/%s", length, launcher, names[i]);
        /* Beside "$LIB". */
        snprintf(place, sizeof place, "%.*s/%s", (int)(strrchr(places->shim, '/') - places->shim),
                 places->shim, names[i]);
        bind_folder(document, source, place);
    }
    return true;
}
