#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/trust.h"

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
    "                       free), once (children do not inherit it), keep (set no flag),\n"
    "                       secrets (what is locked or left out of dumps does not merge)\n"
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
    "  --seeds=shared|own|go  with a shared layout: shared: one seed too for the runtimes in it\n"
    "                       (default; for all but CPython and Perl that needs --preload); own:\n"
    "                       each its own; go: static Go programs too, whose math/rand repeats\n"
    "  --variable=NAME=TEXT  give COMMAND this variable, unless it has one of that name\n"
    "  --prepend=NAME=TEXT  put TEXT, which ends with a separator, before the variable's value\n"
    "  --domain=NAME        set the flag only while this trust domain is the one that may merge\n"
    "  --trust-folder=FOLDER  where the state of the domains is (default: /run/ksmrun/trust)\n"
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

static const char see_help[] = "see `ksmrun-exec --help`";

struct refusal {
    char *text;
    size_t bytes;
};

/* One row an option. */
struct row {
    const char *name;
    /* Stores what the option says; refuses a value that is not valid. value is NULL if the option
     * takes none. */
    bool (*parse)(const struct row *row, const char *value, void *field,
                  const struct refusal *refusal);
    size_t field;         /* its offset in struct options */
    const char *allowed;  /* the values, as a refusal names them; NULL: it takes none */
    const char *words[3]; /* of an option that is off or on, or of an enum */
    enum action action;   /* instead of starting a command */
};

static bool refuse_value(const struct row *row, const char *value, const struct refusal *refusal) {
    snprintf(refusal->text, refusal->bytes, "--%s=%.100s%s is not valid; give %s", row->name, value,
             strlen(value) > 100 ? "..." : "", row->allowed);
    return false;
}

static bool parse_flag(const struct row *row, const char *value, void *field,
                       const struct refusal *refusal) {
    (void)row, (void)value, (void)refusal;
    *(bool *)field = true;
    return true;
}

static bool parse_action(const struct row *row, const char *value, void *field,
                         const struct refusal *refusal) {
    (void)value, (void)refusal;
    *(enum action *)field = row->action;
    return true;
}

static bool parse_text(const struct row *row, const char *value, void *field,
                       const struct refusal *refusal) {
    (void)row, (void)refusal;
    *(const char **)field = value;
    return true;
}

static bool parse_switch(const struct row *row, const char *value, void *field,
                         const struct refusal *refusal) {
    bool is_on = strcmp(value, row->words[1]) == 0;
    *(bool *)field = is_on;
    return is_on || strcmp(value, row->words[0]) == 0 || refuse_value(row, value, refusal);
}

/* Stores the number of the word in an enum that begins with 0. */
static bool parse_word(const struct row *row, const char *value, void *field,
                       const struct refusal *refusal) {
    for (int i = 0; i < 3 && row->words[i] != NULL; i++)
        if (strcmp(value, row->words[i]) == 0) {
            *(int *)field = i;
            return true;
        }
    return refuse_value(row, value, refusal);
}

static bool parse_count(const struct row *row, const char *value, void *field,
                        const struct refusal *refusal) {
    char *end;
    errno = 0;
    long count = strtol(value, &end, 10);
    *(long *)field = count;
    return (errno == 0 && *value != '\0' && *end == '\0' && count > 0) ||
           refuse_value(row, value, refusal);
}

static bool parse_variable(const struct row *row, const char *value, void *field,
                           const struct refusal *refusal) {
    struct variables *variables = field;
    if (!variables_is_entry(value) || variables->count == VARIABLES_MAX)
        return refuse_value(row, value, refusal);
    variables->prepends[variables->count] = strcmp(row->name, "prepend") == 0;
    variables->list[variables->count++] = value;
    return true;
}

static bool parse_domain(const struct row *row, const char *value, void *field,
                         const struct refusal *refusal) {
    return trust_is_name(value) ? parse_text(row, value, field, refusal)
                                : refuse_value(row, value, refusal);
}

/* ld.so splits LD_PRELOAD at both, and has no escape (ld.so(8)). */
static bool parse_preload(const struct row *row, const char *value, void *field,
                          const struct refusal *refusal) {
    if (*value != '\0' && strpbrk(value, " :") == NULL)
        return parse_text(row, value, field, refusal);
    snprintf(refusal->text, refusal->bytes,
             "--preload='%.200s' is empty, or has a space or colon, at which ld.so would split it; "
             "move the file to a path without them",
             value);
    return false;
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
        is_word = is_word || (length == 7 && strncmp(words, "secrets", 7) == 0);
        if (!is_word && !is_shim_number(words, length, "min=", LONG_MAX) &&
            !is_shim_number(words, length, "reserve=", 99))
            return false;
        if (words[length] == '\0')
            return true;
        words += length + 1;
    }
}

static bool parse_shim(const struct row *row, const char *value, void *field,
                       const struct refusal *refusal) {
    return are_shim_words(value) ? parse_text(row, value, field, refusal)
                                 : refuse_value(row, value, refusal);
}

/* Actions without a command, at which the options end. */
static bool is_alone(enum action action) {
    return action != ACTION_RUN && action != ACTION_LAYOUT_CHECK;
}

#define FIELD(name) .field = offsetof(struct options, name)
#define VALUES(text) .allowed = text
#define WORDS(off, on) .allowed = off " or " on, .words = {off, on}
#define THREE(a, b, c) .allowed = a ", " b " or " c, .words = {a, b, c}
static const struct row rows[] = {
    {.name = "merge", .parse = parse_word, FIELD(merge), THREE("on", "off", "keep")},
    {.name = "thp", .parse = parse_switch, FIELD(thp_off), WORDS("keep", "off")},
    {.name = "inject", .parse = parse_flag, FIELD(inject)},
    {.name = "preload", .parse = parse_preload, FIELD(preload), VALUES("a path")},
    {.name = "shim",
     .parse = parse_shim,
     FIELD(shim),
     VALUES("mark, join, min=BYTES, reserve=PERCENT (0 to 99), once, keep or secrets, or several "
            "with commas between them")},
    {.name = "layout", .parse = parse_switch, FIELD(layout_shared), WORDS("random", "shared")},
    {.name = "layout-key", .parse = parse_text, FIELD(layout_key), VALUES("a path")},
    {.name = "layout-group", .parse = parse_text, FIELD(layout_group), VALUES("a name")},
    {.name = "layout-scope", .parse = parse_switch, FIELD(layout_tree), WORDS("program", "tree")},
    {.name = "layout-check", .parse = parse_action, FIELD(action), .action = ACTION_LAYOUT_CHECK},
    {.name = "seeds", .parse = parse_word, FIELD(seeds), THREE("shared", "own", "go")},
    {.name = "variable",
     .parse = parse_variable,
     FIELD(variables),
     VALUES("NAME=TEXT, 8 times at most")},
    {.name = "prepend",
     .parse = parse_variable,
     FIELD(variables),
     VALUES("NAME=TEXT, 8 times at most")},
    {.name = "domain",
     .parse = parse_domain,
     FIELD(domain),
     VALUES("a name of 1 to 63 characters of a-z, 0-9 and \"-\", without \"-\" at its start")},
    {.name = "trust-folder", .parse = parse_text, FIELD(trust_folder), VALUES("a path")},
    {.name = "argv0", .parse = parse_text, FIELD(argv0), VALUES("a name")},
    {.name = "require", .parse = parse_flag, FIELD(require)},
    {.name = "require-max-map-count",
     .parse = parse_count,
     FIELD(require_max_map_count),
     VALUES("a whole number, 1 or more")},
    {.name = "quiet", .parse = parse_flag, FIELD(quiet)},
    {.name = "verify", .parse = parse_flag, FIELD(verify)},
    {.name = "probe", .parse = parse_action, FIELD(action), .action = ACTION_PROBE},
    {.name = "probe-launched",
     .parse = parse_action,
     FIELD(action),
     .action = ACTION_PROBE_LAUNCHED},
    {.name = "version", .parse = parse_action, FIELD(action), .action = ACTION_VERSION},
    {.name = "help", .parse = parse_action, FIELD(action), .action = ACTION_HELP},
};

/* FIRST_ROW: what getopt_long(3) returns for the first row, above all characters. */
enum { ROWS = sizeof rows / sizeof *rows, FIRST_ROW = 256 };

static void fill_long_options(struct option long_options[ROWS + 1]) {
    for (int i = 0; i < ROWS; i++)
        long_options[i] =
            (struct option){.name = rows[i].name,
                            .has_arg = rows[i].allowed == NULL ? no_argument : required_argument,
                            .val = FIRST_ROW + i};
    long_options[ROWS] = (struct option){.name = NULL};
}

/* getopt_long(3) answers the same for an option that is not there and for one with a value too
 * much, as it sets optopt for the second alone. */
static bool refuse_option(const char *word, const struct refusal *refusal) {
    int length = (int)strcspn(word, "=");
    if (optopt != 0 && word[1] == '-')
        snprintf(refusal->text, refusal->bytes, "%.*s takes no value; give %.*s alone", length,
                 word, length, word);
    else
        snprintf(refusal->text, refusal->bytes, "there is no option %.100s%s; %s", word,
                 strlen(word) > 100 ? "..." : "", see_help);
    return false;
}

/* Options up to the command, or up to one that asks for something else. */
static bool parse_options(int argc, char **argv, struct options *options,
                          const struct refusal *refusal) {
    struct option long_options[ROWS + 1];
    fill_long_options(long_options);
    /* 0: from the beginning, also of a word (getopt(3), musl's getopt.c). */
    optind = 0;
    opterr = 0;
    for (;;) {
        int word = optind == 0 ? 1 : optind;
        /* "+": the first word that is not an option ends the options. */
        int id = getopt_long(argc, argv, "+:h", long_options, NULL);
        if (id == -1)
            return true;
        if (id == ':') {
            snprintf(refusal->text, refusal->bytes,
                     "%.200s has no value; add one after it, as in %.200s=VALUE", argv[word],
                     argv[word]);
            return false;
        }
        if (id == 'h') {
            options->action = ACTION_HELP;
            return true;
        }
        if (id < FIRST_ROW)
            return refuse_option(argv[word], refusal);
        const struct row *row = &rows[id - FIRST_ROW];
        if (!row->parse(row, optarg, (char *)options + row->field, refusal))
            return false;
        if (is_alone(options->action))
            return true;
    }
}

/* Returns what is wrong with options that are valid one by one, or NULL. */
static const char *contradiction(const struct options *options) {
    if (options->shim != NULL && options->preload == NULL)
        return "--shim is given without the shim; add --preload=FILE";
    if (options->inject && (options->merge != MERGE_ON || options->require))
        return "--inject sets the merge flag after the program has started; leave out --require, "
               "--merge=off and --merge=keep";
    if (options->domain != NULL && options->inject)
        return "--inject sets the merge flag after the exec, when --domain cannot be checked any "
               "more; leave out one of them";
    if (options->domain != NULL && options->preload != NULL &&
        (options->shim == NULL || strstr(options->shim, "keep") == NULL ||
         strstr(options->shim, "mark") != NULL))
        return "with --domain the shim may not set the flag or mark memory after the exec; add "
               "--shim=keep, or --shim=join,keep";
    if (options->layout_shared && options->layout_key == NULL)
        return "--layout=shared is given without a key; add --layout-key=FILE";
    if (options->action == ACTION_LAYOUT_CHECK && options->layout_key == NULL)
        return "--layout-check is given without a key; add --layout-key=FILE";
    return NULL;
}

bool options_parse(int argc, char **argv, struct options *options, char *error, int error_bytes) {
    const struct refusal refusal = {error, (size_t)error_bytes};
    *options =
        (struct options){.action = ACTION_RUN, .merge = MERGE_ON, .trust_folder = trust_folder};
    /* Before Linux 5.18 (dcd46d897adb) argv can be empty, and argv[1] is then the environment. */
    if (argc >= 1 && !parse_options(argc, argv, options, &refusal))
        return false;
    if (is_alone(options->action))
        return true;
    const char *wrong = argc < 1 ? NULL : contradiction(options);
    if (wrong != NULL) {
        snprintf(error, refusal.bytes, "%s", wrong);
        return false;
    }
    options->command = argv + optind;
    if (argc < 1 || options->command[0] == NULL) {
        snprintf(error, refusal.bytes, "no command given; %s", see_help);
        return false;
    }
    return true;
}
