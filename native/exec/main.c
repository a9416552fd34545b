/* ksmrun-exec: starts a program in place with its memory merged.
 *
 * Everything happens in the process that becomes the program: the flag belongs to the memory map
 * and is kept by exec, so no child and no supervisor is needed. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "../common/merge.h"
#include "../common/message.h"
#include "../common/procfile.h"
#include "../common/search.h"
#include "../common/trust.h"
#include "../layout/key.h"
#include "../layout/layout.h"
#include "../layout/seeds.h"
#include "domain.h"
#include "environment.h"
#include "kernel_trial.h"
#include "layout_check.h"
#include "notice.h"
#include "observer.h"
#include "options.h"
#include "preload.h"
#include "probe.h"

/* As in env(1), nohup(1) and timeout(1). */
enum { EXIT_OWN_FAILURE = 125, EXIT_CANNOT_RUN = 126, EXIT_NOT_FOUND = 127 };

/* Of a path no longer than this all is shown, of a longer one a quarter of it. */
enum { NAME_SHOWN_MAX = 512 };

extern char **environ;

/* Splits a reason, "what; to do", and reports it after the prefix. Returns whether to start the
 * program anyway. */
static bool fail_open_with(const struct options *options, const char *prefix,
                           char reason[REASON_BYTES], const char *todo) {
    char what[REASON_BYTES + 64];
    char *last = strrchr(reason, ';');
    if (last != NULL)
        *last++ = '\0';
    snprintf(what, sizeof what, "%s: %s", prefix, reason);
    return fail_open(options, what, last == NULL ? todo : last + 1);
}

/* Gets the lock under which the flag may be set, or has nothing merge. Returns false if the program
 * must not start. */
static bool enter_domain(struct options *options) {
    char reason[REASON_BYTES];
    if (options->domain == NULL || options->merge == MERGE_OFF)
        return true;
    /* Trials of the kernel merge as well, so that they are made below the lock. */
    if (domain_enter(options->trust_folder, options->domain, reason) == 0) {
        if (!kernel_needs_late_flag())
            return true;
        refuse(reason, "this kernel merges a program only if it sets the flag after its exec, when "
                       "its domain cannot be checked any more; boot Linux 6.12 or later");
    }
    bool starts =
        fail_open_with(options, "memory will not merge", reason, "see `ksmrun help trust`");
    options->merge = MERGE_OFF;
    options->verify = false;
    if (!preload_is_for_seeds_only(options))
        options->preload = options->shim = NULL;
    return starts;
}

static bool apply_merge(const struct options *options) {
    if (options->merge == MERGE_KEEP)
        return true;
    bool on = options->merge == MERGE_ON;
    int error;
    if (options->inject) {
        /* Setting a flag that is set already would not register the program with a kernel that lost
         * track of it at the exec (6.7 to 6.9). */
        (void)merge_set(false, &error);
        warn_if_ksmd_is_off(options);
        return true;
    }
    enum merge_obstacle obstacle = merge_set(on, &error);
    if (obstacle == OBSTACLE_NONE) {
        if (!on)
            return true;
        warn_if_ksmd_is_off(options);
        struct utsname kernel;
        if (uname(&kernel) != 0 || !release_may_lose_at_exec(kernel.release) ||
            !kernel_loses_flag_at_exec())
            return true;
        return fail_open(options, "memory will not merge: this kernel loses the merge flag at exec",
                         "boot Linux 6.12 or later");
    }
    char what[256];
    snprintf(what, sizeof what, "memory will %s: %s (%s)",
             on ? "not merge" : "still merge, the inherited flag cannot be cleared",
             obstacle_what(obstacle),
             error != 0 ? strerror(error) : "it reports success, but the flag is not set");
    return fail_open(options, what, obstacle_todo(obstacle));
}

static bool apply_thp(const struct options *options) {
    if (!options->thp_off || prctl(PR_SET_THP_DISABLE, 1L, 0L, 0L, 0L) == 0)
        return true;
    char what[128];
    snprintf(what, sizeof what, "--thp=off has no effect: prctl(PR_SET_THP_DISABLE): %s",
             strerror(errno));
    return fail_open(options, what,
                     "allow prctl 41 in the seccomp profile, or leave out --thp=off");
}

/* Additions to the environment that are decided so far. */
struct additions {
    struct preload preload;
    bool is_layout_shared;
    unsigned char key[KEY_BYTES]; /* of the layout, if shared */
};

static bool apply_layout(const struct options *options, const char *command,
                         struct additions *additions) {
    char reason[REASON_BYTES];
    if (!options->layout_shared)
        return true;
    const struct layout_request request = {
        .command = command,
        .scope = options->layout_tree ? SCOPE_TREE : SCOPE_PROGRAM,
        .shares_go_random = options->seeds == SEEDS_GO,
        .has_domain = options->domain != NULL,
        .require = options->require,
        .quiet = options->quiet,
    };
    additions->is_layout_shared =
        key_read(options->layout_key, options->layout_group, additions->key, reason) == 0 &&
        layout_begin(&request, additions->key, reason) == 0;
    return additions->is_layout_shared || fail_open_with(options, "shared layout not applied",
                                                         reason, "start it with --layout=random");
}

/* Without merging, an inherited shim must not set the flag or mark; and one that is there for seeds
 * is useless without them. */
static bool extend_environment(const struct options *options, const struct additions *additions,
                               char ***envp) {
    bool has_seeds = additions->is_layout_shared && options->seeds != SEEDS_OWN;
    const char *file =
        preload_is_for_seeds_only(options) && !has_seeds ? NULL : additions->preload.file;
    if (file != NULL || options->merge == MERGE_OFF) {
        char seed[SEEDS_WORD_BYTES];
        if (has_seeds)
            seeds_shim_word(additions->key, seed);
        char **extended =
            environment_with_preload(*envp, file, additions->preload.shim, has_seeds ? seed : NULL);
        if (extended == NULL)
            return fail_open(options, "cannot preload: out of memory",
                             "free memory, then start it again");
        *envp = extended;
    }
    char **seeded = has_seeds ? seeds_environment(*envp, additions->key) : NULL;
    *envp = seeded != NULL ? seeded : *envp;
    if (options->variables.count == 0)
        return true;
    char **varied = variables_extend(*envp, &options->variables);
    if (varied == NULL)
        return fail_open(options, "cannot set variables: out of memory",
                         "free memory, then start it again");
    *envp = varied;
    return true;
}

/* If the flag could not be set, the reason has been printed already. */
static int start_observer(const struct options *options, const char *command) {
    /* A preloaded shim sets the flag after the exec, where this process cannot see it yet. */
    bool by_shim = options->preload != NULL && !preload_keeps_flag(options);
    if (options->inject || (options->verify && (merge_get() == 1 || by_shim))) {
        const struct observation observation = {
            .command = command,
            .injects = options->inject,
            .verifies = options->verify,
            .expected = !by_shim                 ? EXPECTED_FLAG
                        : preload_marks(options) ? EXPECTED_MARKS
                                                 : EXPECTED_FLAG_LATE,
            .layout_key = options->layout_shared ? options->layout_key : NULL,
            .layout_group = options->layout_group,
            .has_domain = options->domain != NULL,
            .quiet = options->quiet,
        };
        return observer_start(&observation);
    }
    if (!options->verify)
        return -1;
    if (options->merge != MERGE_ON && !options->quiet)
        message("nothing to verify: the merge flag is not set; start it with --merge=on");
    return -1;
}

/* Guard for places without Python: a program that needs many VMAs starts only if it can have
 * them. */
static bool has_map_count(const struct options *options) {
    char text[32];
    long wanted = options->require_max_map_count;
    if (wanted == 0)
        return true;
    ssize_t length = procfile_read("/proc/sys/vm/max_map_count", text, sizeof text);
    if (length < 0) {
        message("cannot read vm.max_map_count (%s), which --require-max-map-count=%ld needs; not "
                "started; to do: mount /proc",
                strerror((int)-length), wanted);
        return false;
    }
    long limit = strtol(text, NULL, 10);
    if (limit < wanted)
        message("vm.max_map_count is %ld, less than --require-max-map-count=%ld; not started; to "
                "do: run `sudo sysctl -w vm.max_map_count=%ld`",
                limit, wanted, wanted);
    return limit >= wanted;
}

static int run(struct options *options) {
    char **envp = environ;
    struct additions additions = {.is_layout_shared = false};
    if (!has_map_count(options) || !enter_domain(options))
        return EXIT_OWN_FAILURE;
    if (!apply_merge(options) || !apply_thp(options) ||
        !preload_choose(options, &additions.preload))
        return EXIT_OWN_FAILURE;

    const char *command = options->command[0];
    if (options->argv0 != NULL)
        options->command[0] = (char *)options->argv0;
    int observer = start_observer(options, command);
    if (!apply_layout(options, command, &additions) ||
        !extend_environment(options, &additions, &envp)) {
        observer_cancel(observer);
        return EXIT_OWN_FAILURE;
    }
    struct exec_failure failure;
    search_and_exec(command, options->command, envp, &failure);

    /* Reached only if no program was started. */
    observer_cancel(observer);
    char text[512];
    failure_describe(&failure, text, sizeof text);
    const int shown = strlen(failure.path) > NAME_SHOWN_MAX ? NAME_SHOWN_MAX / 4 : NAME_SHOWN_MAX;
    message("cannot run '%.*s%s': %s", shown, failure.path,
            strlen(failure.path) > NAME_SHOWN_MAX ? "..." : "", text);
    return failure.error == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN;
}

/* Returns the exit code. */
static int print(const char *text) {
    if (fputs(text, stdout) >= 0 && fflush(stdout) == 0 && !ferror(stdout))
        return 0;
    message("cannot write to stdout: %s; check what stdout is connected to, and its free space",
            strerror(errno));
    return EXIT_OWN_FAILURE;
}

int main(int argc, char **argv) {
    struct options options;
    char error[512];
    if (!options_parse(argc, argv, &options, error, sizeof error)) {
        message("%s", error);
        return EXIT_OWN_FAILURE;
    }
    switch (options.action) {
    case ACTION_PROBE:
        domain_hold(trust_folder);
        return probe_print();
    case ACTION_PROBE_LAUNCHED:
        return kernel_trial_after_exec();
    case ACTION_VERSION:
        return print("ksmrun-exec " KSMRUN_VERSION "\n");
    case ACTION_HELP:
        return print(options_help);
    case ACTION_LAYOUT_CHECK:
        return layout_check(options.layout_key, options.layout_group, options.command)
                   ? print("")
                   : EXIT_OWN_FAILURE;
    case ACTION_RUN:
        break;
    }
    return run(&options);
}
