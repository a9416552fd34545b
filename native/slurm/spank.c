/* SPANK plugin (spank(7)): `srun --ksm=on`, `--ksm-layout=GROUP`, and the same for sbatch, salloc.
 *
 * The merge flag is set in the process that slurmstepd forks for a task, after it has become the
 * user's and before its exec, which keeps the flag. For a shared layout slurmstepd executes
 * ksmrun-exec: its own exec is the last step of a launch, after TaskProlog and limits. */
#include <slurm/spank.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "../common/child.h"
#include "../common/merge.h"
#include "settings.h"
#include "takeover.h"

#define EXPORTED __attribute__((visibility("default")))
enum { EXIT_OWN_FAILURE = 125 };
enum { OPTION_KSM, OPTION_LAYOUT };

/* A plugin has no other place: its callbacks get no data of their own. In slurmstepd it is that of
 * one job step, and in each task's process a copy. */
static struct settings settings = {.libexec = KSMRUN_LIBEXEC};
static char key[PATH_MAX], no_key[REASON_BYTES];

#pragma GCC visibility push(default)
SPANK_PLUGIN(ksmrun, 1)
#pragma GCC visibility pop

static int take_option(int value, const char *text, int remote) {
    (void)remote;
    if (value == OPTION_KSM && !wish_parse(text, &settings.wish)) {
        slurm_error("ksmrun: --ksm is neither on, off nor require; to do: choose one of them");
        return -1;
    }
    if (value == OPTION_LAYOUT && !group_parse(text, settings.group)) {
        slurm_error("ksmrun: --ksm-layout names no group; to do: use up to 64 letters, digits, "
                    "dots, hyphens and underscores");
        return -1;
    }
    return ESPANK_SUCCESS;
}

static struct spank_option options[] = {
    {"ksm", "on|off|require",
     "merge equal memory of the tasks (KSM); require: do not start where that cannot be had", 1,
     OPTION_KSM, take_option},
    {"ksm-layout", "GROUP", "give the tasks the group's secret address layout, too, and seeds", 1,
     OPTION_LAYOUT, take_option},
};

EXPORTED int slurm_spank_init(spank_t spank, int argc, char **argv) {
    spank_context_t context = spank_context();
    if (context != S_CTX_LOCAL && context != S_CTX_REMOTE && context != S_CTX_ALLOCATOR)
        return ESPANK_SUCCESS;
    for (int i = 0; i < argc; i++)
        if (!preset_parse(argv[i], &settings))
            slurm_error("ksmrun: plugstack.conf: '%s' is ignored; to do: use "
                        "default=on|off|require and libexec=/FOLDER",
                        argv[i]);
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        if (spank_option_register(spank, &options[i]) != ESPANK_SUCCESS)
            return ESPANK_ERROR;
    return ESPANK_SUCCESS;
}

/* Says it once a node, and not for each task. */
static void say(spank_t spank, const char *what, const char *todo) {
    int task = 0;
    bool require = settings_wish(&settings) == WISH_REQUIRE;
    if (spank_get_item(spank, S_TASK_ID, &task) == ESPANK_SUCCESS && task != 0 && !require)
        return;
    char node[HOST_NAME_MAX + 1];
    if (gethostname(node, sizeof node) != 0)
        node[0] = '\0';
    if (spank_getenv(spank, "SLURMD_NODENAME", node, sizeof node) != ESPANK_SUCCESS)
        node[sizeof node - 1] = '\0';
    slurm_spank_log("ksmrun: %s: %s; the program %s; to do: %s", node, what,
                    require ? "is not started (--ksm=require)" : "starts anyway", todo);
}

/* An error that the plugin returns counts only where plugstack.conf requires it, so that a task
 * ends itself. */
static void fail(spank_t spank, const char *what, const char *todo) {
    say(spank, what, todo);
    if (settings_wish(&settings) == WISH_REQUIRE)
        _exit(EXIT_OWN_FAILURE);
}

/* Splits a reason, "what; to do". */
static void fail_with(spank_t spank, char reason[REASON_BYTES]) {
    char *todo = strstr(reason, "; "), what[REASON_BYTES + 32];
    if (todo != NULL)
        *todo = '\0';
    snprintf(what, sizeof what, "shared layout not applied: %s", reason);
    fail(spank, what, todo == NULL ? "see `ksmrun help fleets`" : todo + 2);
}

/* Tries it as the launcher does (native/exec/kernel_trial.c), with a program of its own. Without an
 * answer it is taken for lost: that is what unpatched kernels do of which this is asked. */
static bool exec_loses_flag(void) {
    char task[PATH_MAX];
    char *const argv[] = {(char *)"ksmrun-slurm-task", (char *)TASK_TRIAL, NULL};
    char *const no_variables[] = {NULL};
    snprintf(task, sizeof task, "%s/ksmrun-slurm-task", settings.libexec);
    if (child_would_be_init())
        return true;
    pid_t child = child_fork();
    if (child == 0) {
        execve(task, argv, no_variables);
        _exit(EXIT_OWN_FAILURE);
    }
    return child < 0 || child_wait(child) != 0;
}

static void set_flag(spank_t spank) {
    struct utsname kernel;
    int error;
    char what[256];
    enum merge_obstacle obstacle = merge_set(true, &error);
    if (obstacle != OBSTACLE_NONE) {
        snprintf(what, sizeof what, "memory will not merge: %s", obstacle_what(obstacle));
        fail(spank, what, obstacle_todo(obstacle));
    } else if (uname(&kernel) == 0 && release_may_lose_at_exec(kernel.release) &&
               exec_loses_flag()) {
        fail(spank, "memory will not merge: this kernel loses the merge flag at exec",
             "boot Linux 6.12 or later");
    } else if (uname(&kernel) == 0 && release_never_scans(kernel.release)) {
        fail(spank, "memory will not merge: this kernel does not scan what had the flag at exec",
             "boot Linux 6.12 or later");
    }
}

/* The key is written by root. */
EXPORTED int slurm_spank_task_init_privileged(spank_t spank, int argc, char **argv) {
    uid_t user;
    (void)argc, (void)argv;
    if (settings.group[0] == '\0' || settings_wish(&settings) == WISH_OFF)
        return ESPANK_SUCCESS;
    if (spank_get_item(spank, S_JOB_UID, &user) != ESPANK_SUCCESS)
        (void)refuse(no_key, "Slurm does not tell the job's user; see `ksmrun help fleets`");
    else
        (void)takeover_key(settings.group, user, key, no_key);
    return ESPANK_SUCCESS;
}

/* slurmstepd executes argv[0] of this process's copy: another program there gets the same
 * arguments. A path that cannot be executed is left to Slurm, which says so; for a bare
 * name the launcher searches PATH, once TaskProlog has set it. */
static void take_over(spank_t spank) {
    char text[HANDOVER_BYTES], task[PATH_MAX], **argv = NULL;
    char reason[REASON_BYTES];
    int argc = 0;
    if (no_key[0] != '\0') {
        fail_with(spank, no_key);
        return;
    }
    if (spank_get_item(spank, S_JOB_ARGV, &argc, &argv) != ESPANK_SUCCESS || argc < 1 ||
        argv == NULL || argv[0] == NULL ||
        (strchr(argv[0], '/') != NULL && access(argv[0], X_OK) != 0))
        return;
    snprintf(task, sizeof task, "%s/ksmrun-slurm-task", settings.libexec);
    bool require = settings_wish(&settings) == WISH_REQUIRE;
    if (access(task, X_OK) != 0) {
        (void)refuse(reason, "%s cannot be executed; install ksmrun's plugin on this node", task);
        fail_with(spank, reason);
    } else if (takeover_text(settings.libexec, key, require, argv[0], text, reason) != 0) {
        fail_with(spank, reason);
    } else if (spank_setenv(spank, TASK_VARIABLE, text, 1) != ESPANK_SUCCESS) {
        (void)refuse(reason, "no room for a variable in the environment; make it smaller");
        fail_with(spank, reason);
    } else {
        char *copy = strdup(task);
        argv[0] = copy != NULL ? copy : argv[0];
    }
}

EXPORTED int slurm_spank_task_init(spank_t spank, int argc, char **argv) {
    (void)argc, (void)argv;
    if (settings_wish(&settings) == WISH_OFF)
        return ESPANK_SUCCESS;
    set_flag(spank);
    if (settings.group[0] != '\0')
        take_over(spank);
    return ESPANK_SUCCESS;
}
