#include "runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "file.h"

#include <yyjson/yyjson.h>

extern char **environ;

/* This program under another name would start itself for ever. */
static bool is_other_program(const char *path) {
    struct stat own, other;
    if (stat(path, &other) != 0 || !S_ISREG(other.st_mode) || access(path, X_OK) != 0)
        return false;
    /* Without /proc the runtime will report the error. */
    return stat("/proc/self/exe", &own) != 0 || own.st_dev != other.st_dev ||
           own.st_ino != other.st_ino;
}

bool runtime_find(const struct arguments *arguments, char path[PATH_MAX]) {
    static const char *const names[] = {"runc", "crun"};
    static const char *const folders[] = {"/usr/local/sbin", "/usr/local/bin", "/usr/sbin",
                                          "/usr/bin",        "/sbin",          "/bin"};
    const char *given =
        arguments->runtime != NULL ? arguments->runtime : getenv("KSMRUN_OCI_RUNTIME");
    if (given != NULL && *given != '\0') {
        snprintf(path, PATH_MAX, "%s", given);
        return is_other_program(path);
    }
    for (size_t name = arguments->only_crun ? 1 : 0; name < sizeof names / sizeof *names; name++)
        for (size_t folder = 0; folder < sizeof folders / sizeof *folders; folder++) {
            snprintf(path, PATH_MAX, "%s/%s", folders[folder], names[name]);
            if (is_other_program(path))
                return true;
        }
    snprintf(path, PATH_MAX, "runc or crun");
    return false;
}

/* "bundle" as in `state` and youki; in runc's state.json it is among the labels of its own
 * configuration, after those made from the annotations, one of which may have that name
 * (libcontainer/specconv/spec_linux.go). */
static const char *bundle_of(yyjson_val *state) {
    static const char label[] = "bundle=";
    size_t index, count;
    yyjson_val *entry;
    const char *bundle = yyjson_get_str(yyjson_obj_get(state, "bundle")), *last = NULL;
    if (bundle != NULL)
        return bundle;
    yyjson_arr_foreach(yyjson_obj_get(yyjson_obj_get(state, "config"), "labels"), index, count,
                       entry) {
        const char *text = yyjson_get_str(entry);
        if (text != NULL && strncmp(text, label, sizeof label - 1) == 0)
            last = text + sizeof label - 1;
    }
    return last;
}

/* Reads the bundle that the text names. */
static bool read_bundle(const char *json, size_t length, char bundle[PATH_MAX]) {
    yyjson_doc *state = yyjson_read(json, length, YYJSON_READ_NUMBER_AS_RAW);
    const char *found = bundle_of(yyjson_doc_get_root(state));
    bool is_known = found != NULL && snprintf(bundle, PATH_MAX, "%s", found) < PATH_MAX;
    yyjson_doc_free(state);
    if (!is_known)
        bundle[0] = '\0';
    return is_known;
}

static bool read_bundle_of_file(const char *path, char bundle[PATH_MAX]) {
    char *json;
    size_t length;
    bundle[0] = '\0';
    if (file_read(path, &json, &length) != 0)
        return false;
    bool is_known = read_bundle(json, length, bundle);
    free(json);
    return is_known;
}

static bool config_in_bundle(const char *bundle, char path[PATH_MAX]) {
    return snprintf(path, PATH_MAX, "%s/config.json", bundle) < PATH_MAX && access(path, F_OK) == 0;
}

/* crun keeps a copy of the config.json in the container's folder, and the bundle in a file
 * `status`; runc has a state.json. */
static bool config_by_folder(const char *root, const char *id, char path[PATH_MAX],
                             char bundle[PATH_MAX]) {
    char state[PATH_MAX];
    if (snprintf(path, PATH_MAX, "%s/%s/config.json", root, id) >= PATH_MAX)
        return false;
    bool is_copied = access(path, F_OK) == 0;
    if (snprintf(state, sizeof state, "%s/%s/%s", root, id, is_copied ? "status" : "state.json") >=
        PATH_MAX)
        return false;
    bool is_told = read_bundle_of_file(state, bundle);
    return is_copied || (is_told && config_in_bundle(bundle, path));
}

/* Without --root: runc uses /run/runc for root, crun and users without root $XDG_RUNTIME_DIR (runc
 * main.go, crun src/libcrun/status.c). */
static bool config_by_default(const char *runtime, const char *id, char path[PATH_MAX],
                              char bundle[PATH_MAX]) {
    const char *slash = strrchr(runtime, '/'), *base = getenv("XDG_RUNTIME_DIR");
    const char *name = slash != NULL ? slash + 1 : runtime;
    char root[PATH_MAX];
    snprintf(root, sizeof root, "/run/%s", name);
    if (config_by_folder(root, id, path, bundle))
        return true;
    return base != NULL && snprintf(root, sizeof root, "%s/%s", base, name) < PATH_MAX &&
           config_by_folder(root, id, path, bundle);
}

static size_t read_pipe(int descriptor, char *text, size_t size) {
    size_t used = 0;
    while (used < size) {
        ssize_t got = read(descriptor, text + used, size - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        used += (size_t)got;
    }
    return used;
}

static pid_t spawn_quiet(char **words, int output) {
    posix_spawn_file_actions_t actions;
    pid_t child = -1;
    if (posix_spawn_file_actions_init(&actions) != 0)
        return -1;
    if (posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0) != 0 ||
        posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO) != 0 ||
        posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0) != 0 ||
        posix_spawn(&child, words[0], &actions, NULL, words, environ) != 0)
        child = -1;
    posix_spawn_file_actions_destroy(&actions);
    return child;
}

/* Any other runtime is asked by the command that the specification has for it, which costs a start
 * of the runtime. */
static bool config_by_state(const struct arguments *arguments, const char *runtime,
                            char path[PATH_MAX], char bundle[PATH_MAX]) {
    char *words[] = {(char *)runtime, (char *)"--root",      (char *)arguments->root,
                     (char *)"state", (char *)arguments->id, NULL};
    if (arguments->root == NULL) {
        words[1] = words[3];
        words[2] = words[4];
        words[3] = NULL;
    }
    static char json[1 << 16];
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return false;
    pid_t child = spawn_quiet(words, ends[1]);
    close(ends[1]);
    size_t length = child > 0 ? read_pipe(ends[0], json, sizeof json) : 0;
    close(ends[0]);
    if (child > 0)
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
            continue;
    return read_bundle(json, length, bundle) && config_in_bundle(bundle, path);
}

bool runtime_find_config(const struct arguments *arguments, const char *runtime,
                         char path[PATH_MAX], char bundle[PATH_MAX]) {
    const char *id = arguments->id;
    if (id == NULL || strchr(id, '/') != NULL || id[0] == '\0' || id[0] == '.')
        return false;
    bool is_found = arguments->root != NULL ? config_by_folder(arguments->root, id, path, bundle)
                                            : config_by_default(runtime, id, path, bundle);
    return is_found || config_by_state(arguments, runtime, path, bundle);
}
