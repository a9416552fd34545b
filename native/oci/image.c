#include "image.h"

#include <dirent.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"

static yyjson_doc *load(const char *path) {
    char *json;
    size_t length;
    if (file_read(path, &json, &length) != 0)
        return NULL;
    yyjson_doc *document = yyjson_read(json, length, YYJSON_READ_NOFLAG);
    free(json);
    return document;
}

static yyjson_val *find_id(yyjson_doc *list, const char *id) {
    size_t index, count;
    yyjson_val *entry;
    yyjson_arr_foreach(yyjson_doc_get_root(list), index, count, entry) {
        if (yyjson_equals_str(yyjson_obj_get(entry, "id"), id))
            return entry;
    }
    return NULL;
}

/* FOLDER/DRIVER-containers/ID/userdata, as in containers/storage (store.go). Returns the length of
 * what precedes "-containers", or 0. */
static size_t parse_bundle(const char *bundle, char id[128]) {
    static const char end[] = "/userdata", kind[] = "-containers";
    size_t length = strlen(bundle), end_length = sizeof end - 1, kind_length = sizeof kind - 1;
    if (length <= end_length || strcmp(bundle + length - end_length, end) != 0)
        return 0;
    size_t id_end = length - end_length, id_start = id_end;
    while (id_start > 0 && bundle[id_start - 1] != '/')
        id_start--;
    if (id_start < kind_length + 2 || id_end - id_start >= 128 ||
        memcmp(bundle + id_start - 1 - kind_length, kind, kind_length) != 0)
        return 0;
    snprintf(id, 128, "%.*s", (int)(id_end - id_start), bundle + id_start);
    return id_start - 1 - kind_length;
}

/* Finds its ID; "" if it is a root without an image. Returns false if that cannot be determined.
 * Newer storages keep containers that end with a --rm in a list of their own. */
static bool find_image(const char *prefix, int length, const char *container, char id[128]) {
    static const char *const lists[] = {"containers.json", "volatile-containers.json"};
    bool is_told = false;
    for (size_t i = 0; i < sizeof lists / sizeof *lists && !is_told; i++) {
        char path[PATH_MAX];
        if (snprintf(path, sizeof path, "%.*s-containers/%s", length, prefix, lists[i]) >= PATH_MAX)
            return false;
        yyjson_doc *list = load(path);
        yyjson_val *entry = find_id(list, container);
        const char *image = yyjson_get_str(yyjson_obj_get(entry, "image"));
        if (entry != NULL && (image == NULL || (strlen(image) < 128 && strchr(image, '/') == NULL)))
            is_told = snprintf(id, 128, "%s", image != NULL ? image : "") >= 0;
        yyjson_doc_free(list);
    }
    return is_told;
}

/* A name in the storage is "manifest", or "=" and base64 if it has other letters. An image for
 * several machines has more than one. */
static bool is_manifest(const char *name) {
    static const char coded[] = "=bWFuaWZlc3"; /* "manifes" */
    return strncmp(name, "manifest", 8) == 0 || strncmp(name, coded, sizeof coded - 1) == 0;
}

static void read_manifests(const char *folder, struct image *image) {
    DIR *entries = opendir(folder);
    struct dirent *entry;
    while (entries != NULL && (entry = readdir(entries)) != NULL) {
        char path[PATH_MAX];
        if (!is_manifest(entry->d_name))
            continue;
        yyjson_doc *manifest = NULL;
        if (image->count < IMAGE_FILES_MAX &&
            snprintf(path, sizeof path, "%s/%s", folder, entry->d_name) < PATH_MAX)
            manifest = load(path);
        if (manifest != NULL)
            image->manifests[image->count++] = manifest;
        else
            image->is_unknown = true;
    }
    if (entries != NULL)
        closedir(entries);
    image->is_unknown = image->is_unknown || image->count == 0;
}

/* Podman states that itself, after the annotations of image and user
 * (libpod/container_internal_linux.go). CRI-O, which keeps its bundles in such folders too, copies
 * a pod's annotations and none of an image. */
static bool is_podmans(yyjson_mut_val *annotations) {
    size_t index, count;
    yyjson_mut_val *key, *value;
    yyjson_mut_obj_foreach(annotations, index, count, key, value) {
        if (yyjson_mut_equals_str(key, "io.container.manager") &&
            yyjson_mut_equals_str(value, "libpod"))
            return true;
    }
    return false;
}

void image_read(const char *bundle, yyjson_mut_val *annotations, struct image *image) {
    char container[128], folder[PATH_MAX], list[PATH_MAX];
    *image = (struct image){.count = 0};
    if (!is_podmans(annotations))
        return;
    int length = (int)parse_bundle(bundle, container);
    if (length == 0 || !find_image(bundle, length, container, image->id)) {
        image->is_unknown = true;
        return;
    }
    if (image->id[0] == '\0')
        return;
    image->is_unknown =
        snprintf(folder, sizeof folder, "%.*s-images/%s", length, bundle, image->id) >= PATH_MAX ||
        snprintf(list, sizeof list, "%.*s-images/images.json", length, bundle) >= PATH_MAX;
    if (image->is_unknown)
        return;
    image->names = load(list);
    read_manifests(folder, image);
}

void image_free(struct image *image) {
    for (size_t i = 0; i < image->count; i++)
        yyjson_doc_free(image->manifests[i]);
    yyjson_doc_free(image->names);
    *image = (struct image){.count = 0};
}

bool image_has(const void *of, const char *key, const char *value) {
    const struct image *image = of;
    bool has = image->is_unknown;
    for (size_t i = 0; i < image->count && !has; i++) {
        size_t index, count;
        yyjson_val *name, *text;
        yyjson_val *root = yyjson_doc_get_root(image->manifests[i]);
        yyjson_obj_foreach(yyjson_obj_get(root, "annotations"), index, count, name, text) {
            has = has || (yyjson_equals_str(name, key) && yyjson_equals_str(text, value));
        }
    }
    return has;
}

bool image_is_called(const struct image *image, const char *pattern) {
    size_t index, count;
    yyjson_val *name;
    yyjson_val *entry = image->id[0] != '\0' ? find_id(image->names, image->id) : NULL;
    if (image->id[0] != '\0' && strcmp(image->id, pattern) == 0)
        return true;
    yyjson_arr_foreach(yyjson_obj_get(entry, "names"), index, count, name) {
        if (yyjson_is_str(name) && fnmatch(pattern, yyjson_get_str(name), 0) == 0)
            return true;
    }
    return false;
}
