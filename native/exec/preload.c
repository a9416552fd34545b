#include "preload.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "../common/child.h"
#include "../common/merge.h"
#include "../shim/filter.h"
#include "environment.h"
#include "notice.h"

bool preload_marks(const struct options *options) {
    return options->shim != NULL && strstr(options->shim, "mark") != NULL;
}

static bool sweeps(const struct options *options) {
    return preload_marks(options) ||
           (options->shim != NULL && strstr(options->shim, "join") != NULL);
}

bool preload_keeps_flag(const struct options *options) {
    return options->shim != NULL && strstr(options->shim, "keep") != NULL;
}

bool preload_is_for_seeds_only(const struct options *options) {
    return preload_keeps_flag(options) && !sweeps(options);
}

/* An installed filter that kills at a call of the shim's thread would kill the program: so a child
 * tries those calls. */
static bool shim_would_live(void) {
    if (!merge_is_filtered())
        return true;
    pid_t child = child_would_be_init() ? -1 : child_fork();
    if (child == 0) {
        filter_try_calls();
        _exit(0);
    }
    return child > 0 && child_wait(child) == 0;
}

/* ld.so searches for a name without a slash, and replaces variables. The shim is also there under
 * the literal name of its variable, for musl. */
static bool may_be_there(const char *file) {
    bool is_for_loader =
        strchr(file, '/') == NULL || (strchr(file, '$') != NULL && !is_shim(file, strlen(file)));
    return is_for_loader || access(file, R_OK) == 0;
}

/* Linux names it to every program; gVisor does not, and ld.so would print a line in each. */
static bool has_platform(const char *file) {
    return !is_shim(file, strlen(file)) || strstr(file, "$PLATFORM") == NULL ||
           getauxval(AT_PLATFORM) != 0;
}

bool preload_choose(const struct options *options, struct preload *preload) {
    const char *file = options->preload;
    if (file == NULL)
        return true;
    if (!has_platform(file))
        return fail_open(options,
                         "the shim is not used: this kernel does not name its platform to programs "
                         "(getauxval(3): AT_PLATFORM), and ld.so finds the shim by that name",
                         "run it on a Linux kernel, and not in a sandbox that imitates one");
    if (!may_be_there(file)) {
        char what[4200];
        snprintf(what, sizeof what, "cannot preload '%s': %s", file, strerror(errno));
        return fail_open(options, what, "check the path and its permissions");
    }
    preload->file = file;
    if (!sweeps(options) || shim_would_live()) {
        preload->shim = options->shim;
        if (preload_marks(options))
            warn_if_ksmd_is_off(options);
        return true;
    }
    if (preload_marks(options))
        preload->file = NULL;
    return fail_open(options,
                     "the seccomp filter in force would kill the shim's thread, so the shim does "
                     "not mark memory or join VMAs",
                     "allow capset, clone, madvise, prctl and unshare in the seccomp profile");
}
