/* A bundle's config.json: whether it can be wrapped, and the wrapping. All but what is added stays
 * equal. */
#ifndef KSMRUN_OCI_SPEC_H
#define KSMRUN_OCI_SPEC_H

#include <limits.h>
#include <stdbool.h>

#include <yyjson/yyjson.h>

/* The paths in the container. */
struct places {
    char launcher[PATH_MAX];
    char key[PATH_MAX];
    char shim[PATH_MAX]; /* the folder named "$LIB" */
};

enum { OBSTACLE_BYTES = 512 };

/* Whether the container can be wrapped; else why not. */
bool spec_is_fit(yyjson_mut_val *config, char obstacle[OBSTACLE_BYTES]);

/* Chooses places in a tmpfs of the container's own, where a mount point leaves no trace in the
 * image or on the host. Returns false where it has none. */
bool spec_choose_places(yyjson_mut_val *config, struct places *places);

/* The places that an earlier create has mounted at; "" where there is none. */
void spec_find_places(yyjson_mut_val *config, struct places *places);

/* Binds the file of the host read-only, and marks the mount as ours. Returns false for want of
 * memory. */
bool spec_bind(yyjson_mut_doc *document, const char *source, const char *place);

/* Notes at the launcher's mount how many words of args are ours. */
bool spec_mark_words(yyjson_mut_doc *document, size_t count);

/* Takes an earlier wrapping away. Returns whether there was one. */
bool spec_unwrap(yyjson_mut_doc *document);

/* The annotation by which a CRI engine says that a container only holds a pod's namespaces; NULL
 * where there is none. *value: what it says. */
const char *spec_pause_annotation(yyjson_mut_val *config, const char **value);

/* Whether args, or a command, begin with a launcher already. */
bool word_is_launcher(const char *word);
bool args_are_wrapped(yyjson_mut_val *args);

/* Puts the words in front. Returns false for want of memory. */
bool args_wrap(yyjson_mut_doc *document, yyjson_mut_val *args, const char *const *words);

/* Whether it is a list of strings with at least one. */
bool args_are_valid(yyjson_mut_val *args);

#endif
