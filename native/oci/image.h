/* Annotations of a container's image itself: Podman copies them into the bundle, where they look
 * like the user's (podman pkg/specgen/generate/container.go). */
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
    yyjson_doc *names; /* the storage's list; NULL if there is no image */
    char id[128];
};

/* Looks the image up by the absolute path of the bundle's folder, and its annotations. Empty for
 * engines other than Podman, which do not copy annotations, and for a root without an image. Must
 * be freed. */
void image_read(const char *bundle, yyjson_mut_val *annotations, struct image *image);
void image_free(struct image *image);

/* Returns whether the annotation is, or may be, the image's; void * because of request.h. */
bool image_has(const void *image, const char *key, const char *value);

/* Returns whether one of its names matches the pattern (fnmatch(3)). */
bool image_is_called(const struct image *image, const char *pattern);

#endif
