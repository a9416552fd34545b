#include "arguments.h"

#include <stddef.h>
#include <string.h>

const char arguments_help[] =
    "Usage: ksmrun-oci [--ksmrun-OPTION...] WORD...\n"
    "\n"
    "An OCI runtime for podman --runtime, dockerd --add-runtime, containerd's BinaryName and\n"
    "CRI-O: hands the words to runc or crun, but for create, run and exec first puts ksmrun-exec\n"
    "in front of the container's process, so that its memory merges.\n"
    "`ksmrun wrap runtime ENGINE` prints each engine's configuration.\n"
    "\n"
    "  --ksmrun-by-request    only for containers that ask; the same under a name that ends with\n"
    "                         -by-request, for engines that give no options; else for all but\n"
    "                         those with merge=off\n"
    "  --ksmrun-environment   by request, too, the environment and an image's annotations count\n"
    "  --ksmrun-request=WORDS what all its containers have, as KSMRUN_OCI says it\n"
    "  --ksmrun-config=FILE   the host's configuration; else $KSMRUN_OCI_CONFIG; else\n"
    "                         /etc/ksmrun/oci.json; only root may be able to change it\n"
    "  --ksmrun-runtime=FILE  the runtime; else $KSMRUN_OCI_RUNTIME; else the first that is there\n"
    "                         of runc, then crun, in /usr/local/sbin, /usr/local/bin, /usr/sbin,\n"
    "                         /usr/bin, /sbin, /bin; under a name with -crun in it only crun\n"
    "  --ksmrun-help          this text\n"
    "\n"
    "A container asks, each with the last word over those before it:\n"
    "  1. by KSMRUN_OCI=merge=on,... in its environment, or by an annotation of its image, as\n"
    "     Podman copies them: for merge, mechanism and its like alone; by request not even that\n"
    "  2. by annotations of who starts it\n"
    "  3. by --ksmrun-request\n"
    "  4. by \"request\" in the host's configuration\n"
    "  ksmrun.merge=on|off           wrap it, or not\n"
    "  ksmrun.mechanism=auto|prctl|preload  preload: with the shim, which joins VMAs before 6.17;\n"
    "                                auto: where this kernel needs it\n"
    "  ksmrun.require=true|false     true: do not start where merging cannot be had\n"
    "  ksmrun.layout=shared|random   shared: one address layout for the containers of a group, of\n"
    "                                one Kubernetes namespace or of the host\n"
    "  ksmrun.layout-group=NAME      that group (default: default); what the container gets "
    "follows\n"
    "                                from /run/ksmrun/layout/units/NAME.key\n"
    "  ksmrun.layout-scope=program|tree  as for ksmrun-exec\n"
    "  ksmrun.exclude-secrets=true|false  true: what its programs lock into memory or leave out "
    "of\n"
    "                                core dumps does not merge\n"
    "  ksmrun.domain=NAME            merge only while this trust domain may (`ksmrun help trust`)\n"
    "  ksmrun.runtime-flags=merge|shrink|off  flags for Java and Mono, as of ksmrun run\n"
    "\n"
    "The host's configuration, of which each part can be left out:\n"
    "  {\"environment\": true, \"request\": \"layout-scope=program\",\n"
    "   \"groups\": {\"games\": {}, \"web\": {\"namespaces\": [\"shop\"], \"images\": "
    "[\"*/web:*\"],\n"
    "                                 \"users\": [100000]}},\n"
    "   \"domains\": {\"web\": {\"namespaces\": [\"shop\"]}}}\n"
    "  environment  as --ksmrun-environment\n"
    "  groups       those that annotations may name, for all or for who matches one of each list\n"
    "               (users: the host's number of the process's); else all that have a key there\n"
    "  domains      trust domains that annotations may name, in the same way; else none\n"
    "\n"
    "A pod's pause container is left as it is. `restore` mounts the launcher again, without which "
    "a\n"
    "checkpoint of a wrapped container does not come back; what it maps from then on may not\n"
    "merge, so that ksmrun.require refuses it.\n"
    "\n"
    "What cannot be wrapped starts as it is, with one line in the runtime's --log or on stderr.\n";

enum { NO_FIELD = 0 };

struct known {
    const char *name;
    bool has_value;
    size_t field; /* offset of the string in struct arguments */
};

#define KEPT(field) true, offsetof(struct arguments, field)
#define VALUE true, NO_FIELD
#define SWITCH false, NO_FIELD

/* Options of runc(8) 1.1 to 1.3 and crun(1) 1.8 to 1.20. */
static const struct known global_options[] = {
    {"root", KEPT(root)},      {"log", KEPT(log)}, {"log-format", KEPT(log_format)},
    {"log-level", VALUE},      {"criu", VALUE},    {"rootless", VALUE},
    {"cgroup-manager", VALUE}, {"debug", SWITCH},  {"systemd-cgroup", SWITCH},
    {NULL, false, NO_FIELD},
};

static const struct known create_options[] = {
    {"bundle", KEPT(bundle)},   {"b", KEPT(bundle)},       {"config", KEPT(config)},
    {"f", KEPT(config)},        {"console-socket", VALUE}, {"pidfd-socket", VALUE},
    {"pid-file", VALUE},        {"preserve-fds", VALUE},   {"no-pivot", SWITCH},
    {"no-new-keyring", SWITCH}, {"detach", SWITCH},        {"d", SWITCH},
    {"keep", SWITCH},           {"no-subreaper", SWITCH},  {NULL, false, NO_FIELD},
};

static const struct known restore_options[] = {
    {"bundle", KEPT(bundle)},
    {"b", KEPT(bundle)},
    {"image-path", VALUE},
    {"work-path", VALUE},
    {"console-socket", VALUE},
    {"pid-file", VALUE},
    {"manage-cgroups-mode", VALUE},
    {"empty-ns", VALUE},
    {"lsm-profile", VALUE},
    {"lsm-mount-context", VALUE},
    {"tcp-established", SWITCH},
    {"ext-unix-sk", SWITCH},
    {"shell-job", SWITCH},
    {"file-locks", SWITCH},
    {"detach", SWITCH},
    {"d", SWITCH},
    {"no-subreaper", SWITCH},
    {"no-pivot", SWITCH},
    {"auto-dedup", SWITCH},
    {"lazy-pages", SWITCH},
    {NULL, false, NO_FIELD},
};

static const struct known exec_options[] = {
    {"process", KEPT(process)},
    {"p", KEPT(process)},
    {"console-socket", VALUE},
    {"pidfd-socket", VALUE},
    {"cwd", VALUE},
    {"env", VALUE},
    {"e", VALUE},
    {"user", KEPT(user)},
    {"u", KEPT(user)},
    {"additional-gids", VALUE},
    {"g", VALUE},
    {"pid-file", VALUE},
    {"process-label", VALUE},
    {"apparmor", VALUE},
    {"a", VALUE},
    {"cap", VALUE},
    {"c", VALUE},
    {"preserve-fds", VALUE},
    {"cgroup", VALUE},
    {"tty", SWITCH},
    {"t", SWITCH},
    {"detach", SWITCH},
    {"d", SWITCH},
    {"no-new-privs", SWITCH},
    {"ignore-paused", SWITCH},
    {"keep", SWITCH},
    {NULL, false, NO_FIELD},
};

static const struct known *find(const struct known *known, const char *name, size_t length) {
    for (; known->name != NULL; known++)
        if (strlen(known->name) == length && memcmp(known->name, name, length) == 0)
            return known;
    return NULL;
}

static void keep(struct arguments *arguments, const struct known *known, const char *value) {
    if (known->field != NO_FIELD)
        memcpy((char *)arguments + known->field, &value, sizeof value);
}

/* "-dt" and "-uroot", as crun accepts them: letters, the last of which may have a value. */
static bool parse_letters(const struct known *known, char **argv, int *index,
                          struct arguments *arguments) {
    for (const char *letter = argv[*index] + 1; *letter != '\0'; letter++) {
        const struct known *option = find(known, letter, 1);
        if (option == NULL)
            return false;
        if (!option->has_value)
            continue;
        const char *value = letter[1] != '\0' ? letter + 1 : argv[++*index];
        if (value == NULL)
            return false;
        keep(arguments, option, value);
        return true;
    }
    return true;
}

/* Option at *index, which is moved to its last word. Go treats one dash like two. */
static bool parse_option(const struct known *known, char **argv, int *index,
                         struct arguments *arguments) {
    const char *word = argv[*index];
    const char *name = word + (word[1] == '-' ? 2 : 1);
    size_t length = strcspn(name, "=");
    const struct known *option = find(known, name, length);
    if (option == NULL)
        return word[1] != '-' && parse_letters(known, argv, index, arguments);
    const char *value = NULL;
    if (name[length] == '=')
        value = name + length + 1;
    else if (option->has_value && (value = argv[++*index]) == NULL)
        return false;
    if (option->has_value)
        keep(arguments, option, value);
    return true;
}

static bool is_option(const char *word) {
    return word[0] == '-' && word[1] != '\0';
}

/* Options up to the first word that is none. Returns its index, or -1. */
static int parse_options(const struct known *known, char **argv, int index,
                         struct arguments *arguments) {
    for (; argv[index] != NULL && is_option(argv[index]); index++) {
        int at = index;
        if (strcmp(argv[index], "--") == 0)
            return index + 1;
        if (!parse_option(known, argv, &index, arguments)) {
            arguments->unknown = argv[at];
            return -1;
        }
    }
    return index;
}

/* runc accepts options after the ID too. */
static void parse_bundle(const struct known *known, char **argv, int index,
                         struct arguments *arguments) {
    for (;;) {
        index = parse_options(known, argv, index, arguments);
        if (index < 0 || argv[index] == NULL)
            return;
        arguments->id = argv[index++];
    }
}

static void parse_create(char **argv, int index, struct arguments *arguments) {
    arguments->command = COMMAND_CREATE;
    parse_bundle(create_options, argv, index, arguments);
}

static void parse_restore(char **argv, int index, struct arguments *arguments) {
    arguments->command = COMMAND_RESTORE;
    parse_bundle(restore_options, argv, index, arguments);
}

static void parse_exec(char **argv, int index, struct arguments *arguments) {
    arguments->command = COMMAND_EXEC;
    index = parse_options(exec_options, argv, index, arguments);
    if (index < 0 || argv[index] == NULL)
        return;
    arguments->id = argv[index++];
    if (argv[index] != NULL && strcmp(argv[index], "--") == 0)
        index++;
    if (argv[index] != NULL)
        arguments->exec_words = index;
}

/* Returns whether the word is one of our options. */
static bool parse_own(const char *word, struct arguments *arguments) {
    static const struct {
        const char *name;
        size_t field;
    } options[] = {
        {"--ksmrun-runtime=", offsetof(struct arguments, runtime)},
        {"--ksmrun-request=", offsetof(struct arguments, request)},
        {"--ksmrun-config=", offsetof(struct arguments, policy)},
    };
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        size_t length = strlen(options[i].name);
        if (strncmp(word, options[i].name, length) == 0) {
            const char *value = word + length;
            memcpy((char *)arguments + options[i].field, &value, sizeof value);
            return true;
        }
    }
    if (strcmp(word, "--ksmrun-by-request") == 0)
        arguments->by_request = true;
    else if (strcmp(word, "--ksmrun-environment") == 0)
        arguments->heeds_image = true;
    else if (strcmp(word, "--ksmrun-help") == 0)
        arguments->help = true;
    else
        return false;
    return true;
}

static bool ends_with(const char *text, const char *end) {
    size_t length = strlen(text), end_length = strlen(end);
    return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

void arguments_parse(char **argv, struct arguments *arguments) {
    *arguments = (struct arguments){.first = 0};
    if (argv[0] == NULL)
        return;
    arguments->by_request = ends_with(argv[0], "-by-request");
    const char *slash = strrchr(argv[0], '/');
    arguments->only_crun = strstr(slash != NULL ? slash : argv[0], "-crun") != NULL;
    int index = 1;
    while (argv[index] != NULL && parse_own(argv[index], arguments))
        index++;
    arguments->first = index;
    index = parse_options(global_options, argv, index, arguments);
    /* `--help` and `--version` are the runtime's, and nothing to be wrapped. */
    if (index < 0 || argv[index] == NULL)
        return;
    const char *command = argv[index++];
    if (strcmp(command, "create") == 0 || strcmp(command, "run") == 0)
        parse_create(argv, index, arguments);
    else if (strcmp(command, "restore") == 0)
        parse_restore(argv, index, arguments);
    else if (strcmp(command, "exec") == 0)
        parse_exec(argv, index, arguments);
}
