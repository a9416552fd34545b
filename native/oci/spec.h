/* A bundle's config.json: whether it can be wrapped, and the wrapping. Nothing but the additions
 * changes. */
#ifndef KSMRUN_OCI_SPEC_H
#define KSMRUN_OCI_SPEC_H

#include <limits.h>
#include <stdbool.h>

#include <yyjson/yyjson.h>

/* Paths in the container. */
struct places {
    char launcher[PATH_MAX];
    char key[PATH_MAX];
    char shim[PATH_MAX];  /* folder with a shim for each $PLATFORM */
    char trust[PATH_MAX]; /* folder with the state of the trust domains */
};

enum { OBSTACLE_BYTES = 512 };

/* Returns whether the container can be wrapped; else why not. */
bool spec_is_fit(yyjson_mut_val *config, char obstacle[OBSTACLE_BYTES]);

/* Chooses places in a tmpfs of the container's own, where a mount point leaves no trace in the
 * image or on the host. bundle: its folder. Returns false if it has none. */
bool spec_choose_places(yyjson_mut_val *config, const char *bundle, struct places *places);

/* Places at which an earlier create has mounted; "" if there are none. */
void spec_find_places(yyjson_mut_val *config, struct places *places);

/* Mounts the host's file read-only, and marks the mount as ours. Returns false if out of memory. */
bool spec_bind(yyjson_mut_doc *document, const char *source, const char *place);

/* Records in the launcher's mount how many words of args are ours. */
bool spec_mark_words(yyjson_mut_doc *document, size_t count);

/* Removes an earlier wrapping. Returns whether there was one. */
bool spec_unwrap(yyjson_mut_doc *document);

/* Annotation by which a CRI engine says that a container only holds a pod's namespaces; NULL if
 * there is none. *value: its value. */
const char *spec_pause_annotation(yyjson_mut_val *config, const char **value);

/* Returns whether args, or a command, begin with a launcher already. */
bool word_is_launcher(const char *word);
bool args_are_wrapped(yyjson_mut_val *args);

/* Inserts the words at the front. Returns false if out of memory. */
bool args_wrap(yyjson_mut_doc *document, yyjson_mut_val *args, const char *const *words);

/* Returns whether it is a list of strings with at least one. */
bool args_are_valid(yyjson_mut_val *args);

#endif
