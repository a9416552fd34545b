#include "fallback.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../common/stderr.h"
#include "../common/trust.h"

enum { EXIT_OWN_FAILURE = 125, EXIT_CANNOT_RUN = 126, EXIT_NOT_FOUND = 127 };

/* CPython 3.11 with all that a launch imports takes about 45 MiB of address space. */
enum { ROOM_BYTES = 96 << 20, ROOM_DESCRIPTORS = 8 };

/* A limit applies at mmap(2), whatever is touched (getrlimit(2): RLIMIT_AS, RLIMIT_DATA). */
static bool has_memory(void) {
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    void *room = mmap(NULL, ROOM_BYTES, PROT_READ | PROT_WRITE, flags, -1, 0);
    return room != MAP_FAILED && munmap(room, ROOM_BYTES) == 0;
}

static bool has_descriptors(void) {
    int files[ROOM_DESCRIPTORS], count = 0;
    bool has_all = true;
    while (has_all && count < ROOM_DESCRIPTORS) {
        files[count] = open("/", O_PATH | O_CLOEXEC);
        has_all = files[count] >= 0 || (errno != EMFILE && errno != ENFILE);
        count += files[count] >= 0 ? 1 : ROOM_DESCRIPTORS;
    }
    for (int i = 0; i < count && i < ROOM_DESCRIPTORS && files[i] >= 0; i++)
        close(files[i]);
    return has_all;
}

bool fallback_has_room(void) {
    return has_memory() && has_descriptors();
}

struct launch {
    const char *merge, *thp, *domain;
    bool require, quiet, verify, layout, excludes;
    bool is_none; /* it only prints something */
    char **command;
};

/* As click parses them. */
static bool is_on(const char *variable) {
    static const char *const words[] = {"1", "true", "t", "yes", "y", "on"};
    const char *value = getenv(variable);
    for (size_t i = 0; value != NULL && i < sizeof words / sizeof *words; i++)
        if (strcasecmp(value, words[i]) == 0)
            return true;
    return false;
}

/* An empty variable counts as unset (click: Parameter.resolve_envvar_value). */
static const char *variable(const char *name) {
    const char *value = getenv(name);
    return value == NULL || *value == '\0' ? NULL : value;
}

static bool is(const char *word, const char *name) {
    return strcmp(word, name) == 0;
}

/* Only these take no value (ksmrun/options/launch.py). */
static bool read_switch(struct launch *launch, const char *word) {
    launch->require |= is(word, "--require");
    launch->quiet |= is(word, "--quiet");
    launch->verify |= is(word, "--verify");
    launch->excludes |= is(word, "--exclude-secrets");
    launch->is_none |= is(word, "--dry-run") || is(word, "--help") || is(word, "-h");
    return is(word, "--require") || is(word, "--quiet") || is(word, "--verify") ||
           is(word, "--exclude-secrets") || is(word, "--dry-run") || is(word, "--help") ||
           is(word, "-h") || is(word, "--inherit") || is(word, "--no-inherit");
}

/* Value in the same word or the next one, to which at is then moved. */
static const char *value_of(char ***at) {
    const char *equals = strchr(**at, '=');
    if (equals != NULL)
        return equals + 1;
    return (*at)[1] == NULL ? "" : *++*at;
}

static bool has_name(const char *word, const char *name) {
    size_t length = strlen(name);
    return strncmp(word, name, length) == 0 && (word[length] == '=' || word[length] == '\0');
}

static struct launch read_words(char **words) {
    const char *layout = getenv("KSMRUN_LAYOUT");
    struct launch launch = {
        .merge = variable("KSMRUN_MERGE"),
        .thp = variable("KSMRUN_THP"),
        .domain = variable("KSMRUN_DOMAIN"),
        .require = is_on("KSMRUN_REQUIRE"),
        .quiet = is_on("KSMRUN_QUIET"),
        .verify = is_on("KSMRUN_VERIFY"),
        .layout = layout != NULL && is(layout, "shared"),
        .excludes = is_on("KSMRUN_EXCLUDE_SECRETS"),
    };
    char **at = words;
    for (; *at != NULL && (strncmp(*at, "--", 2) == 0 || is(*at, "-h")); at++) {
        const char *word = *at;
        if (is(word, "--")) {
            at++;
            break;
        }
        if (read_switch(&launch, word))
            continue;
        const char *value = value_of(&at);
        if (has_name(word, "--merge"))
            launch.merge = value;
        else if (has_name(word, "--thp"))
            launch.thp = value;
        else if (has_name(word, "--domain"))
            launch.domain = value;
        else if (has_name(word, "--layout"))
            launch.layout = is(value, "shared");
    }
    launch.command = at;
    return launch;
}

/* As Python does, ksmrun-exec refuses these, and says so. */
static bool is_refused(const struct launch *launch) {
    const char *merge = launch->merge, *thp = launch->thp;
    return (merge != NULL && !is(merge, "on") && !is(merge, "off") && !is(merge, "keep")) ||
           (thp != NULL && !is(thp, "keep") && !is(thp, "off")) ||
           (launch->domain != NULL && !trust_is_name(launch->domain));
}

static void say(const char *why, const char *what, const char *todo) {
    char line[STDERR_LINE_BYTES];
    int size = snprintf(line, sizeof line, "ksmrun: %s; %s; to do: %s\n", why, what, todo);
    if (size >= (int)sizeof line) {
        size = sizeof line - 1;
        line[size - 1] = '\n';
    }
    stderr_write(line, (size_t)size);
}

static void exec_launcher(const char *folder, const struct launch *launch) {
    char file[PATH_MAX + sizeof "/ksmrun-exec"], merge[32], thp[32];
    size_t words = 0, count = 0;
    while (launch->command[words] != NULL)
        words++;
    char **arguments = calloc(words + 11, sizeof *arguments);
    if (arguments == NULL)
        return;
    snprintf(file, sizeof file, "%s/ksmrun-exec", folder);
    snprintf(merge, sizeof merge, "--merge=%s", launch->merge);
    snprintf(thp, sizeof thp, "--thp=%s", launch->thp);
    arguments[count++] = file;
    if (launch->merge != NULL)
        arguments[count++] = merge;
    if (launch->thp != NULL)
        arguments[count++] = thp;
    /* In words of its own, as it may be of any length; the launcher says what is wrong with it. */
    if (launch->domain != NULL) {
        arguments[count++] = (char *)"--domain";
        arguments[count++] = (char *)launch->domain;
    }
    if (launch->require)
        arguments[count++] = (char *)"--require";
    if (launch->quiet)
        arguments[count++] = (char *)"--quiet";
    if (launch->verify)
        arguments[count++] = (char *)"--verify";
    arguments[count++] = (char *)"--";
    memcpy(arguments + count, launch->command, words * sizeof *arguments);
    execv(file, arguments);
    free(arguments);
}

int fallback_start(const char *folder, char **words, const char *why, const char *todo) {
    if (*words == NULL || !is(*words, "run"))
        return -1;
    struct launch launch = read_words(words + 1);
    if (launch.is_none || *launch.command == NULL)
        return -1;
    if (launch.require && launch.layout) {
        say(why, "shared layout not applied; not started because of --require", todo);
        return EXIT_OWN_FAILURE;
    }
    if (is_refused(&launch))
        exec_launcher(folder, &launch);
    /* It takes a plan to keep secrets out, so nothing merges. */
    if (launch.excludes && launch.require) {
        say(why, "memory will not merge with --exclude-secrets; not started because of --require",
            todo);
        return EXIT_OWN_FAILURE;
    }
    if (launch.excludes)
        launch.merge = "off";
    if (!launch.quiet)
        say(why,
            launch.excludes ? "the program starts anyway, without merging (--exclude-secrets)"
            : launch.layout ? "the program starts anyway, shared layout not applied"
                            : "the program starts anyway, with default options",
            todo);
    exec_launcher(folder, &launch);
    if (launch.require) {
        say(why, "ksmrun-exec cannot be started either; not started because of --require", todo);
        return EXIT_OWN_FAILURE;
    }
    execvp(*launch.command, launch.command);
    int error = errno;
    fprintf(stderr, "ksmrun: cannot run '%.512s': %s; %s\n", *launch.command, strerror(error),
            error == E2BIG ? "shorten the arguments, or raise the stack limit (ulimit -s)"
                           : "check the path and its permissions");
    return error == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN;
}
