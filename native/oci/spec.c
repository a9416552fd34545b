#include "spec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char launcher_end[] = "/ksmrun/ksmrun-exec";
static const char key_end[] = "/ksmrun/layout.key";
static const char shim_end[] = "/ksmrun/$LIB";
static const char *const ends[] = {launcher_end,  key_end,         shim_end,
                                   "/ksmrun/lib", "/ksmrun/lib32", "/ksmrun/lib64"};

static bool ends_with(const char *text, const char *end) {
    size_t length = strlen(text), end_length = strlen(end);
    return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

static const char *text_of(yyjson_mut_val *object, const char *key) {
    const char *text = yyjson_mut_get_str(yyjson_mut_obj_get(object, key));
    return text != NULL ? text : "";
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

/* A VM's process, or WebAssembly's (crun(1): run.oci.handler), is none of this machine's kernel. */
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
    yyjson_mut_val *process = yyjson_mut_obj_get(config, "process");
    obstacle[0] = '\0';
    if (!yyjson_mut_is_obj(config))
        snprintf(obstacle, OBSTACLE_BYTES, "it is no JSON object");
    else if (strncmp(version, "1.", 2) != 0)
        snprintf(obstacle, OBSTACLE_BYTES, "its ociVersion is \"%.32s\", and only 1.x is known",
                 version);
    else if (other != NULL)
        snprintf(obstacle, OBSTACLE_BYTES, "it has \"%s\", so it is no plain Linux container",
                 other);
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

/* Whether what is mounted at `upper` hides a file in `lower`. */
static bool covers(const char *upper, const char *lower) {
    size_t length = strlen(upper);
    while (length > 0 && upper[length - 1] == '/')
        length--;
    return strncmp(lower, upper, length) == 0 && (lower[length] == '\0' || lower[length] == '/');
}

static bool stays_visible(yyjson_mut_val *mounts, size_t position, const char *folder) {
    size_t index, count;
    yyjson_mut_val *mount;
    yyjson_mut_arr_foreach(mounts, index, count, mount) {
        if (index > position && covers(text_of(mount, "destination"), folder))
            return false;
    }
    return true;
}

/* Lower is better. */
static int rank(const char *folder) {
    return strcmp(folder, "/dev") == 0 ? 0 : strcmp(folder, "/run") == 0 ? 1 : 2;
}

bool spec_choose_places(yyjson_mut_val *config, struct places *places) {
    yyjson_mut_val *mounts = yyjson_mut_obj_get(config, "mounts"), *mount;
    const char *best = NULL;
    size_t index, count;
    yyjson_mut_arr_foreach(mounts, index, count, mount) {
        const char *folder = text_of(mount, "destination");
        if (strcmp(text_of(mount, "type"), "tmpfs") != 0 || folder[0] != '/' ||
            strlen(folder) > PATH_MAX / 2 || has_option(mount, "ro") ||
            (best != NULL && rank(best) <= rank(folder)) || !stays_visible(mounts, index, folder))
            continue;
        best = folder;
    }
    if (best == NULL)
        return false;
    snprintf(places->launcher, sizeof places->launcher, "%s%s", best, launcher_end);
    snprintf(places->key, sizeof places->key, "%s%s", best, key_end);
    snprintf(places->shim, sizeof places->shim, "%s%s", best, shim_end);
    return true;
}

static bool is_at(yyjson_mut_val *mount, const char *end) {
    return strcmp(text_of(mount, "type"), "bind") == 0 &&
           ends_with(text_of(mount, "destination"), end);
}

static bool is_own(yyjson_mut_val *mount) {
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (is_at(mount, ends[i]))
            return true;
    return false;
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
    }
}

/* With the flags that a mount of the host's may have, as in a user namespace they cannot be
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
           yyjson_mut_arr_append(yyjson_mut_obj_get(root, "mounts"), mount);
}

/* The number of our words in front, with the "--" that ends them. */
static size_t own_words(yyjson_mut_val *args, const char *launcher) {
    size_t index, count;
    yyjson_mut_val *word;
    if (launcher[0] == '\0' || !yyjson_mut_equals_str(yyjson_mut_arr_get_first(args), launcher))
        return 0;
    yyjson_mut_arr_foreach(args, index, count, word) {
        if (yyjson_mut_equals_str(word, "--"))
            return index + 1;
    }
    return 0;
}

bool spec_unwrap(yyjson_mut_doc *document) {
    struct places places;
    yyjson_mut_val *root = yyjson_mut_doc_get_root(document);
    yyjson_mut_val *args = yyjson_mut_obj_get(yyjson_mut_obj_get(root, "process"), "args");
    yyjson_mut_val *mounts = yyjson_mut_obj_get(root, "mounts");
    spec_find_places(root, &places);
    if (places.launcher[0] == '\0')
        return false;
    yyjson_mut_arr_remove_range(args, 0, own_words(args, places.launcher));
    for (size_t i = yyjson_mut_arr_size(mounts); i-- > 0;) {
        if (is_own(yyjson_mut_arr_get(mounts, i)))
            yyjson_mut_arr_remove(mounts, i);
    }
    return true;
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

/* Numbers are kept as they are written. */
static unsigned long long number_of(yyjson_mut_val *object, const char *key) {
    const char *text = yyjson_mut_get_raw(yyjson_mut_obj_get(object, key));
    return text == NULL ? 0 : strtoull(text, NULL, 10);
}

bool spec_maps_user(yyjson_mut_val *config, unsigned user) {
    yyjson_mut_val *linux_part = yyjson_mut_obj_get(config, "linux");
    yyjson_mut_val *mappings = yyjson_mut_obj_get(linux_part, "uidMappings"), *mapping;
    size_t index, count;
    yyjson_mut_arr_foreach(mappings, index, count, mapping) {
        unsigned long long first = number_of(mapping, "hostID");
        if (user >= first && user - first < number_of(mapping, "size"))
            return true;
    }
    return yyjson_mut_arr_size(mappings) == 0;
}
