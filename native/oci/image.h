/* What the image of a container carries itself: Podman copies an image's annotations into the
 * bundle, where they look like its user's (podman pkg/specgen/generate/container.go). */
#ifndef KSMRUN_OCI_IMAGE_H
#define KSMRUN_OCI_IMAGE_H

#include <stdbool.h>
#include <stddef.h>

#include <yyjson/yyjson.h>

enum { IMAGE_FILES_MAX = 32 };

struct image {
    /* It is in Podman's storage, and cannot be read there: any annotation may be the image's. */
    bool is_unknown;
    size_t count;
    yyjson_doc *manifests[IMAGE_FILES_MAX];
    yyjson_doc *names; /* the storage's list; NULL where there is no image */
    char id[128];
};

/* By the folder of a bundle, as an absolute path, and its annotations. Of other engines than
 * Podman, which do not copy annotations, and of a root without an image, it has nothing. To be
 * freed. */
void image_read(const char *bundle, yyjson_mut_val *annotations, struct image *image);
void image_free(struct image *image);

/* Whether the annotation is the image's, or may be: a struct image as request.h has it. */
bool image_has(const void *image, const char *key, const char *value);

/* Whether a name of it matches the pattern (fnmatch(3)). */
bool image_is_called(const struct image *image, const char *pattern);

#endif
