#include "spec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "rootfs.h"

static const char launcher_end[] = "/ksmrun/ksmrun-exec";
static const char key_end[] = "/ksmrun/layout.key";
static const char shim_end[] = "/ksmrun/shim";
static const char trust_end[] = "/ksmrun/trust";
/* A member of the mount that the specification does not define: runtimes ignore it, and engines,
 * which write only what they know, accept it from nobody ("Extensibility" in the specification's
 * config.md). Its value is the number of words before the process's own. */
static const char mark[] = "ksmrun.wrapped";
/* Each is compared with others. LOOKS_MAX: of links in their names. */
enum { MOUNTS_MAX = 10000, LOOKS_MAX = 20000 };

static bool ends_with(const char *text, const char *end) {
    size_t length = strlen(text), end_length = strlen(end);
    return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

static const char *text_of(yyjson_mut_val *object, const char *key) {
    yyjson_mut_val *value = yyjson_mut_obj_get(object, key);
    const char *text = yyjson_mut_get_str(value);
    /* Readers would disagree about the end of a text with a NUL. */
    return text != NULL && strlen(text) == yyjson_mut_get_len(value) ? text : "";
}

/* Of two members with one name, one reader takes the first and another the last; Go's also ignores
 * the case of names (encoding/json). */
static bool has_twice(yyjson_mut_val *object, const char *name) {
    size_t index, count, seen = 0;
    yyjson_mut_val *key, *value;
    yyjson_mut_obj_foreach(object, index, count, key, value) {
        seen += strcasecmp(yyjson_mut_get_str(key), name) == 0;
    }
    return seen > 1;
}

static const char *find_twice(yyjson_mut_val *config) {
    static const char *const of_root[] = {"ociVersion", "process",     "mounts",
                                          "linux",      "annotations", "root"};
    static const char *const of_process[] = {"args", "env", "user"};
    static const char *const of_linux[] = {"uidMappings", "namespaces"};
    const struct {
        yyjson_mut_val *object;
        const char *const *names;
        size_t count;
    } all[] = {
        {config, of_root, sizeof of_root / sizeof *of_root},
        {yyjson_mut_obj_get(config, "process"), of_process, sizeof of_process / sizeof *of_process},
        {yyjson_mut_obj_get(config, "linux"), of_linux, sizeof of_linux / sizeof *of_linux},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        for (size_t name = 0; name < all[i].count; name++)
            if (has_twice(all[i].object, all[i].names[name]))
                return all[i].names[name];
    return NULL;
}

bool args_are_valid(yyjson_mut_val *args) {
    size_t index, count;
    yyjson_mut_val *word;
    yyjson_mut_arr_foreach(args, index, count, word) {
        if (!yyjson_mut_is_str(word))
            return false;
    }
    return yyjson_mut_arr_size(args) > 0;
}

/* A VM's process, or WebAssembly's (crun(1): run.oci.handler), does not run on this machine's
 * kernel. */
static const char *foreign(yyjson_mut_val *config) {
    static const char *const platforms[] = {"vm", "windows", "solaris", "zos"};
    static const char *const handlers[] = {"run.oci.handler", "module.wasm.image/variant"};
    for (size_t i = 0; i < sizeof platforms / sizeof *platforms; i++)
        if (yyjson_mut_obj_get(config, platforms[i]) != NULL)
            return platforms[i];
    yyjson_mut_val *annotations = yyjson_mut_obj_get(config, "annotations");
    for (size_t i = 0; i < sizeof handlers / sizeof *handlers; i++)
        if (yyjson_mut_obj_get(annotations, handlers[i]) != NULL)
            return handlers[i];
    return NULL;
}

bool spec_is_fit(yyjson_mut_val *config, char obstacle[OBSTACLE_BYTES]) {
    const char *version = text_of(config, "ociVersion"), *other = foreign(config);
    const char *twice = find_twice(config);
    yyjson_mut_val *process = yyjson_mut_obj_get(config, "process");
    obstacle[0] = '\0';
    if (!yyjson_mut_is_obj(config))
        snprintf(obstacle, OBSTACLE_BYTES, "it is not a JSON object");
    else if (strncmp(version, "1.", 2) != 0)
        snprintf(obstacle, OBSTACLE_BYTES, "its ociVersion is \"%.32s\", and only 1.x is known",
                 version);
    else if (other != NULL)
        snprintf(obstacle, OBSTACLE_BYTES, "it has \"%s\", so it is not a plain Linux container",
                 other);
    else if (twice != NULL)
        snprintf(obstacle, OBSTACLE_BYTES, "it has \"%s\" twice", twice);
    else if (yyjson_mut_arr_size(yyjson_mut_obj_get(config, "mounts")) > MOUNTS_MAX)
        snprintf(obstacle, OBSTACLE_BYTES, "it has more than %d mounts", MOUNTS_MAX);
    else if (!args_are_valid(yyjson_mut_obj_get(process, "args")))
        snprintf(obstacle, OBSTACLE_BYTES, "it has no process.args");
    return obstacle[0] == '\0';
}

static bool has_option(yyjson_mut_val *mount, const char *name) {
    size_t index, count;
    yyjson_mut_val *option;
    yyjson_mut_arr_foreach(yyjson_mut_obj_get(mount, "options"), index, count, option) {
        if (yyjson_mut_equals_str(option, name))
            return true;
    }
    return false;
}

static bool is_bind(yyjson_mut_val *mount) {
    return strcmp(text_of(mount, "type"), "bind") == 0 || has_option(mount, "bind") ||
           has_option(mount, "rbind");
}

/* Resolves all mounts in their order: a later one may have another name for the place of an earlier
 * one, by a link of the image (/var/run) or of a volume, or in the specification. */
static void find_mounts(struct rootfs *rootfs, yyjson_mut_val *mounts) {
    size_t index, count;
    yyjson_mut_val *mount;
    char place[PATH_MAX];
    yyjson_mut_arr_foreach(mounts, index, count, mount) {
        bool is_known = rootfs_resolve(rootfs, text_of(mount, "destination"), place);
        rootfs->mounts[index] = (struct mounted){
            .place = is_known ? strdup(place) : NULL,
            .source = is_bind(mount) ? text_of(mount, "source") : NULL,
        };
        rootfs->count = index + 1;
    }
}

static void forget_mounts(struct rootfs *rootfs) {
    for (size_t i = 0; i < rootfs->count; i++)
        free(rootfs->mounts[i].place);
    free(rootfs->mounts);
}

static bool stays_visible(const struct rootfs *rootfs, size_t position) {
    const char *place = rootfs->mounts[position].place;
    for (size_t i = position + 1; i < rootfs->count && place != NULL; i++)
        if (rootfs->mounts[i].place == NULL || rootfs_covers(rootfs->mounts[i].place, place))
            return false;
    return place != NULL;
}

/* Returns whether its option nr_inodes leaves room for the mount points (tmpfs(5)). */
static bool has_inodes(yyjson_mut_val *mount) {
    static const char name[] = "nr_inodes=";
    enum { INODES_MIN = 64 };
    size_t index, count;
    yyjson_mut_val *option;
    yyjson_mut_arr_foreach(yyjson_mut_obj_get(mount, "options"), index, count, option) {
        const char *text = yyjson_mut_get_str(option);
        char *end = NULL;
        if (text != NULL && strncmp(text, name, sizeof name - 1) == 0) {
            unsigned long inodes = strtoul(text + sizeof name - 1, &end, 10);
            if (inodes != 0 && inodes < INODES_MIN && *end == '\0')
                return false;
        }
    }
    return true;
}

/* Lower is better. */
static int rank(const char *folder) {
    return strcmp(folder, "/dev") == 0 ? 0 : strcmp(folder, "/run") == 0 ? 1 : 2;
}

/* Returns the destination of the best tmpfs of the container's own; NULL if it has none. */
static const char *choose(yyjson_mut_val *mounts, const struct rootfs *rootfs) {
    const char *best = NULL;
    size_t index, count;
    yyjson_mut_val *mount;
    yyjson_mut_arr_foreach(mounts, index, count, mount) {
        const char *folder = text_of(mount, "destination");
        if (strcmp(text_of(mount, "type"), "tmpfs") != 0 || folder[0] != '/' ||
            strlen(folder) > PATH_MAX / 2 || has_option(mount, "ro") ||
            (best != NULL && rank(best) <= rank(folder)) || !has_inodes(mount) ||
            !stays_visible(rootfs, index))
            continue;
        best = folder;
    }
    return best;
}

bool spec_choose_places(yyjson_mut_val *config, const char *bundle, struct places *places) {
    yyjson_mut_val *mounts = yyjson_mut_obj_get(config, "mounts");
    const char *root = text_of(yyjson_mut_obj_get(config, "root"), "path");
    char folder[2 * PATH_MAX];
    snprintf(folder, sizeof folder, "%s%s%.*s", *root == '/' ? "" : bundle, *root == '/' ? "" : "/",
             PATH_MAX, root);
    struct rootfs rootfs = {.folder = folder, .looks = LOOKS_MAX};
    rootfs.mounts = calloc(yyjson_mut_arr_size(mounts) + 1, sizeof *rootfs.mounts);
    if (rootfs.mounts == NULL)
        return false;
    find_mounts(&rootfs, mounts);
    const char *best = choose(mounts, &rootfs);
    forget_mounts(&rootfs);
    if (best == NULL)
        return false;
    snprintf(places->launcher, sizeof places->launcher, "%s%s", best, launcher_end);
    snprintf(places->key, sizeof places->key, "%s%s", best, key_end);
    snprintf(places->shim, sizeof places->shim, "%s%s", best, shim_end);
    snprintf(places->trust, sizeof places->trust, "%s%s", best, trust_end);
    return true;
}

static bool is_own(yyjson_mut_val *mount) {
    return yyjson_mut_obj_get(mount, mark) != NULL;
}

static bool is_at(yyjson_mut_val *mount, const char *end) {
    return is_own(mount) && ends_with(text_of(mount, "destination"), end);
}

void spec_find_places(yyjson_mut_val *config, struct places *places) {
    size_t index, count;
    yyjson_mut_val *mount;
    *places = (struct places){.launcher = ""};
    yyjson_mut_arr_foreach(yyjson_mut_obj_get(config, "mounts"), index, count, mount) {
        const char *place = text_of(mount, "destination");
        if (is_at(mount, launcher_end))
            snprintf(places->launcher, sizeof places->launcher, "%s", place);
        else if (is_at(mount, key_end))
            snprintf(places->key, sizeof places->key, "%s", place);
        else if (is_at(mount, shim_end))
            snprintf(places->shim, sizeof places->shim, "%s", place);
        else if (is_at(mount, trust_end))
            snprintf(places->trust, sizeof places->trust, "%s", place);
    }
}

/* With the flags that a mount of the host's may have, because in a user namespace they cannot be
 * cleared. */
bool spec_bind(yyjson_mut_doc *document, const char *source, const char *place) {
    static const char *const options[] = {"bind", "ro", "nosuid", "nodev"};
    yyjson_mut_val *root = yyjson_mut_doc_get_root(document);
    yyjson_mut_val *mount = yyjson_mut_obj(document);
    yyjson_mut_val *list =
        yyjson_mut_arr_with_str(document, (const char **)options, sizeof options / sizeof *options);
    return mount != NULL && list != NULL &&
           yyjson_mut_obj_add_strcpy(document, mount, "destination", place) &&
           yyjson_mut_obj_add_str(document, mount, "type", "bind") &&
           yyjson_mut_obj_add_strcpy(document, mount, "source", source) &&
           yyjson_mut_obj_add_val(document, mount, "options", list) &&
           yyjson_mut_obj_add_uint(document, mount, mark, 0) &&
           yyjson_mut_arr_append(yyjson_mut_obj_get(root, "mounts"), mount);
}

static yyjson_mut_val *find_launcher(yyjson_mut_val *mounts) {
    size_t index, count;
    yyjson_mut_val *mount;
    yyjson_mut_arr_foreach(mounts, index, count, mount) {
        if (is_at(mount, launcher_end))
            return mount;
    }
    return NULL;
}

bool spec_mark_words(yyjson_mut_doc *document, size_t count) {
    yyjson_mut_val *root = yyjson_mut_doc_get_root(document);
    yyjson_mut_val *mount = find_launcher(yyjson_mut_obj_get(root, "mounts"));
    yyjson_mut_val *value = yyjson_mut_obj_get(mount, mark);
    return value != NULL && yyjson_mut_set_uint(value, count);
}

/* Number of our words at the front, including the final "--"; 0 if others are there now. */
static size_t own_words(yyjson_mut_val *args, yyjson_mut_val *launcher) {
    /* Numbers are kept as they are written. */
    const char *text = yyjson_mut_get_raw(yyjson_mut_obj_get(launcher, mark));
    size_t count = text != NULL ? (size_t)strtoul(text, NULL, 10) : 0;
    if (count == 0 || count > yyjson_mut_arr_size(args) ||
        !yyjson_mut_equals_str(yyjson_mut_arr_get_first(args), text_of(launcher, "destination")) ||
        !yyjson_mut_equals_str(yyjson_mut_arr_get(args, count - 1), "--"))
        return 0;
    return count;
}

bool spec_unwrap(yyjson_mut_doc *document) {
    yyjson_mut_val *root = yyjson_mut_doc_get_root(document);
    yyjson_mut_val *args = yyjson_mut_obj_get(yyjson_mut_obj_get(root, "process"), "args");
    yyjson_mut_val *mounts = yyjson_mut_obj_get(root, "mounts");
    bool was_wrapped = false;
    if (yyjson_mut_arr_size(mounts) > MOUNTS_MAX)
        return false;
    yyjson_mut_arr_remove_range(args, 0, own_words(args, find_launcher(mounts)));
    /* Also if somebody has removed the launcher's and left others. */
    for (size_t i = yyjson_mut_arr_size(mounts); i-- > 0;) {
        if (!is_own(yyjson_mut_arr_get(mounts, i)))
            continue;
        yyjson_mut_arr_remove(mounts, i);
        was_wrapped = true;
    }
    return was_wrapped;
}

/* containerd pkg/cri/annotations, cri-o pkg/annotations. */
const char *spec_pause_annotation(yyjson_mut_val *config, const char **value) {
    static const char *const names[] = {"io.kubernetes.cri.container-type",
                                        "io.kubernetes.cri-o.ContainerType"};
    yyjson_mut_val *annotations = yyjson_mut_obj_get(config, "annotations");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        *value = yyjson_mut_get_str(yyjson_mut_obj_get(annotations, names[i]));
        if (*value != NULL && strcmp(*value, "sandbox") == 0)
            return names[i];
    }
    return NULL;
}

bool word_is_launcher(const char *word) {
    return strcmp(word, "ksmrun-exec") == 0 || ends_with(word, "/ksmrun-exec");
}

bool args_are_wrapped(yyjson_mut_val *args) {
    const char *first = yyjson_mut_get_str(yyjson_mut_arr_get_first(args));
    return first != NULL && word_is_launcher(first);
}

bool args_wrap(yyjson_mut_doc *document, yyjson_mut_val *args, const char *const *words) {
    for (size_t i = 0; words[i] != NULL; i++) {
        yyjson_mut_val *word = yyjson_mut_strcpy(document, words[i]);
        if (word == NULL || !yyjson_mut_arr_insert(args, word, i))
            return false;
    }
    return true;
}
