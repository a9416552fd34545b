#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char options_help[] =
    "Usage: ksmrun-exec [OPTION]... [--] COMMAND [ARG]...\n"
    "       ksmrun-exec --probe | --version | --help\n"
    "\n"
    "Starts COMMAND in place (same PID) with its memory merged by Kernel Samepage Merging.\n"
    "\n"
    "  --merge=on|off|keep  set the merge flag (default), clear an inherited one, leave it alone\n"
    "  --thp=keep|off       off: no transparent huge pages for COMMAND and its children\n"
    "  --inject             have COMMAND set it after the exec (ptrace), where that loses it\n"
    "  --preload=FILE       put FILE last in LD_PRELOAD\n"
    "  --shim=WORD[,WORD]   what the preloaded shim does: mark (mark memory, do not set the "
    "flag),\n"
    "                       min=BYTES (mark no less), reserve=PERCENT (of vm.max_map_count, to "
    "keep\n"
    "                       free), once (children do not inherit it), keep (only give seeds)\n"
    "  --layout=random|shared  shared: the addresses that all programs with one key get\n"
    "  --layout-key=FILE    32 secret bytes that nobody else can read\n"
    "  --layout-scope=program|tree  program: through shells and wrappers (env, tini, ...; and "
    "what\n"
    "                       execs, or has its first child exec, in its first moments) to the\n"
    "                       programs that they start (default); tree: all that COMMAND starts\n"
    "  --layout-group=NAME  derive the key of this group from FILE\n"
    "  --layout-check       start nothing: COMMAND is a list of PIDs; print each with yes, no or "
    "unknown,\n"
    "                       as it has the layout of the key\n"
    "  --seeds=shared|own   with a shared layout: one hash seed too for CPython and Perl "
    "(default),\n"
    "                       and with --preload for Lua\n"
    "  --argv0=NAME         give COMMAND this argv[0]\n"
    "  --require            do not start COMMAND if merging cannot be had (exit 125)\n"
    "  --require-max-map-count=N  do not start COMMAND where vm.max_map_count is less (exit 125)\n"
    "  --quiet              no line on stderr where COMMAND starts all the same\n"
    "  --verify             after the exec, one line: did the merge flag arrive?\n"
    "  --probe              what this kernel does to a launched program, as JSON\n"
    "\n"
    "Options end at COMMAND: `ksmrun-exec ls --help` is the help of ls.\n"
    "Exit codes: 125 ksmrun-exec failed, 126 COMMAND cannot be run, 127 COMMAND not found,\n"
    "else COMMAND's own.\n"
    "\n"
    "Example: ksmrun-exec --verify -- ./server --port 8303\n";

enum option_id {
    OPTION_MERGE = 256,
    OPTION_THP,
    OPTION_INJECT,
    OPTION_PRELOAD,
    OPTION_SHIM,
    OPTION_LAYOUT,
    OPTION_LAYOUT_KEY,
    OPTION_LAYOUT_GROUP,
    OPTION_LAYOUT_SCOPE,
    OPTION_LAYOUT_CHECK,
    OPTION_SEEDS,
    OPTION_ARGV0,
    OPTION_REQUIRE,
    OPTION_REQUIRE_MAX_MAP_COUNT,
    OPTION_QUIET,
    OPTION_VERIFY,
    OPTION_PROBE,
    OPTION_PROBE_LAUNCHED,
    OPTION_VERSION,
    OPTION_HELP,
};

static const struct option long_options[] = {
    {"merge", required_argument, NULL, OPTION_MERGE},
    {"thp", required_argument, NULL, OPTION_THP},
    {"inject", no_argument, NULL, OPTION_INJECT},
    {"preload", required_argument, NULL, OPTION_PRELOAD},
    {"shim", required_argument, NULL, OPTION_SHIM},
    {"layout", required_argument, NULL, OPTION_LAYOUT},
    {"layout-key", required_argument, NULL, OPTION_LAYOUT_KEY},
    {"layout-group", required_argument, NULL, OPTION_LAYOUT_GROUP},
    {"layout-scope", required_argument, NULL, OPTION_LAYOUT_SCOPE},
    {"layout-check", no_argument, NULL, OPTION_LAYOUT_CHECK},
    {"seeds", required_argument, NULL, OPTION_SEEDS},
    {"argv0", required_argument, NULL, OPTION_ARGV0},
    {"require", no_argument, NULL, OPTION_REQUIRE},
    {"require-max-map-count", required_argument, NULL, OPTION_REQUIRE_MAX_MAP_COUNT},
    {"quiet", no_argument, NULL, OPTION_QUIET},
    {"verify", no_argument, NULL, OPTION_VERIFY},
    {"probe", no_argument, NULL, OPTION_PROBE},
    {"probe-launched", no_argument, NULL, OPTION_PROBE_LAUNCHED},
    {"version", no_argument, NULL, OPTION_VERSION},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0},
};

static bool parse_merge(const char *text, enum merge_mode *mode) {
    static const char *const names[] = {
        [MERGE_ON] = "on", [MERGE_OFF] = "off", [MERGE_KEEP] = "keep"};
    for (int i = MERGE_ON; i <= MERGE_KEEP; i++) {
        if (strcmp(text, names[i]) == 0) {
            *mode = (enum merge_mode)i;
            return true;
        }
    }
    return false;
}

static bool parse_thp(const char *text, bool *off) {
    *off = strcmp(text, "off") == 0;
    return *off || strcmp(text, "keep") == 0;
}

static bool parse_count(const char *text, long *count) {
    char *end;
    errno = 0;
    *count = strtol(text, &end, 10);
    return errno == 0 && *text != '\0' && *end == '\0' && *count > 0;
}

/* ld.so splits LD_PRELOAD at both, and has no escape (ld.so(8)). */
static bool can_be_preloaded(const char *path) {
    return *path != '\0' && strpbrk(path, " :") == NULL;
}

static bool is_shim_number(const char *word, size_t length, const char *name, long maximum) {
    size_t name_length = strlen(name);
    if (length <= name_length || strncmp(word, name, name_length) != 0 ||
        strchr("0123456789", word[name_length]) == NULL)
        return false;
    char *end;
    errno = 0;
    long number = strtol(word + name_length, &end, 10);
    return end == word + length && errno == 0 && number >= 0 && number <= maximum;
}

/* The same words as in ../shim/settings.c. */
static bool are_shim_words(const char *words) {
    for (;;) {
        size_t length = strcspn(words, ",");
        bool is_word =
            length == 4 && (strncmp(words, "mark", 4) == 0 || strncmp(words, "join", 4) == 0 ||
                            strncmp(words, "once", 4) == 0 || strncmp(words, "keep", 4) == 0);
        if (!is_word && !is_shim_number(words, length, "min=", LONG_MAX) &&
            !is_shim_number(words, length, "reserve=", 99))
            return false;
        if (words[length] == '\0')
            return true;
        words += length + 1;
    }
}

static const char see_help[] = "see `ksmrun-exec --help`";

static bool refuse_value(char *error, size_t size, const char *name, const char *allowed) {
    snprintf(error, size, "--%s=%.100s%s is not valid; give %s", name, optarg,
             strlen(optarg) > 100 ? "..." : "", allowed);
    return false;
}

/* getopt_long(3) answers the same for an option that is not there and for one with a value too
 * much, as it sets optopt for the second alone. */
static bool refuse_option(char *error, size_t size, const char *word) {
    int length = (int)strcspn(word, "=");
    if (optopt != 0 && word[1] == '-')
        snprintf(error, size, "%.*s takes no value; give %.*s alone", length, word, length, word);
    else
        snprintf(error, size, "there is no option %.100s%s; %s", word,
                 strlen(word) > 100 ? "..." : "", see_help);
    return false;
}

bool options_parse(int argc, char **argv, struct options *options, char *error, int error_bytes) {
    size_t error_size = (size_t)error_bytes;
    *options = (struct options){.action = ACTION_RUN, .merge = MERGE_ON};
    /* 0: from the beginning, also of a word (getopt(3), musl's getopt.c). */
    optind = 0;
    opterr = 0;
    /* Before Linux 5.18 (dcd46d897adb) argv can be empty, and argv[1] is then the environment. */
    if (argc < 1) {
        snprintf(error, error_size, "no command given; %s", see_help);
        return false;
    }
    for (;;) {
        int word = optind == 0 ? 1 : optind;
        /* "+": the first word that is not an option ends the options. */
        int id = getopt_long(argc, argv, "+:h", long_options, NULL);
        if (id == -1)
            break;
        switch (id) {
        case OPTION_MERGE:
            if (!parse_merge(optarg, &options->merge)) {
                return refuse_value(error, error_size, "merge", "on, off or keep");
            }
            break;
        case OPTION_THP:
            if (!parse_thp(optarg, &options->thp_off)) {
                return refuse_value(error, error_size, "thp", "keep or off");
            }
            break;
        case OPTION_INJECT:
            options->inject = true;
            break;
        case OPTION_PRELOAD:
            if (!can_be_preloaded(optarg)) {
                snprintf(error, error_size,
                         "--preload='%.200s' is empty, or has a space or colon, at which ld.so "
                         "would split it; move the file to a path without them",
                         optarg);
                return false;
            }
            options->preload = optarg;
            break;
        case OPTION_SHIM:
            if (!are_shim_words(optarg)) {
                return refuse_value(error, error_size, "shim",
                                    "mark, join, min=BYTES, reserve=PERCENT (0 to 99), once or "
                                    "keep, or several with commas between them");
            }
            options->shim = optarg;
            break;
        case OPTION_LAYOUT:
            options->layout_shared = strcmp(optarg, "shared") == 0;
            if (!options->layout_shared && strcmp(optarg, "random") != 0) {
                return refuse_value(error, error_size, "layout", "random or shared");
            }
            break;
        case OPTION_LAYOUT_KEY:
            options->layout_key = optarg;
            break;
        case OPTION_LAYOUT_GROUP:
            options->layout_group = optarg;
            break;
        case OPTION_LAYOUT_SCOPE:
            options->layout_tree = strcmp(optarg, "tree") == 0;
            if (!options->layout_tree && strcmp(optarg, "program") != 0) {
                return refuse_value(error, error_size, "layout-scope", "program or tree");
            }
            break;
        case OPTION_LAYOUT_CHECK:
            options->action = ACTION_LAYOUT_CHECK;
            break;
        case OPTION_SEEDS:
            options->seeds_own = strcmp(optarg, "own") == 0;
            if (!options->seeds_own && strcmp(optarg, "shared") != 0) {
                return refuse_value(error, error_size, "seeds", "shared or own");
            }
            break;
        case OPTION_ARGV0:
            options->argv0 = optarg;
            break;
        case OPTION_REQUIRE:
            options->require = true;
            break;
        case OPTION_REQUIRE_MAX_MAP_COUNT:
            if (!parse_count(optarg, &options->require_max_map_count)) {
                return refuse_value(error, error_size, "require-max-map-count",
                                    "a whole number, 1 or more");
            }
            break;
        case OPTION_QUIET:
            options->quiet = true;
            break;
        case OPTION_VERIFY:
            options->verify = true;
            break;
        case OPTION_PROBE:
            options->action = ACTION_PROBE;
            return true;
        case OPTION_PROBE_LAUNCHED:
            options->action = ACTION_PROBE_LAUNCHED;
            return true;
        case OPTION_VERSION:
            options->action = ACTION_VERSION;
            return true;
        case OPTION_HELP:
        case 'h':
            options->action = ACTION_HELP;
            return true;
        case ':':
            snprintf(error, error_size, "%.200s has no value; add one after it, as in %.200s=VALUE",
                     argv[word], argv[word]);
            return false;
        default:
            return refuse_option(error, error_size, argv[word]);
        }
    }
    if (options->shim != NULL && options->preload == NULL) {
        snprintf(error, error_size, "--shim is given without the shim; add --preload=FILE");
        return false;
    }
    if (options->inject && (options->merge != MERGE_ON || options->require)) {
        snprintf(error, error_size,
                 "--inject sets the merge flag after the program has started; leave out --require, "
                 "--merge=off and --merge=keep");
        return false;
    }
    if (options->layout_shared && options->layout_key == NULL) {
        snprintf(error, error_size,
                 "--layout=shared is given without a key; add --layout-key=FILE");
        return false;
    }
    if (options->action == ACTION_LAYOUT_CHECK && options->layout_key == NULL) {
        snprintf(error, error_size, "--layout-check is given without a key; add --layout-key=FILE");
        return false;
    }
    options->command = argv + optind;
    if (options->command[0] == NULL) {
        snprintf(error, error_size, "no command given; %s", see_help);
        return false;
    }
    return true;
}
