/* Wraps what a create, run or exec is about to start. */
#ifndef KSMRUN_OCI_WRAP_H
#define KSMRUN_OCI_WRAP_H

#include <limits.h>
#include <stdbool.h>

#include "arguments.h"
#include "image.h"
#include "policy.h"
#include "request.h"
#include "spec.h"

/* Edits the bundle's config.json, for create, run and restore. Returns false if the container must
 * not start. */
bool wrap_create(const struct arguments *arguments);

/* Edits the file of --process, or makes a longer command line. Returns the runtime's words, with a
 * free place in front; NULL if the process must not start. */
char **wrap_exec(const struct arguments *arguments, const char *runtime, char **argv);

/* Shared by both. */

enum { WORDS_MAX = 24, OPTION_BYTES = PATH_MAX + 64 };

/* The launcher's part of a command line, NULL-terminated. */
struct words {
    const char *list[WORDS_MAX];
    size_t count;
    char key_option[OPTION_BYTES], shim_option[OPTION_BYTES], trust_option[OPTION_BYTES];
    char domain_option[DOMAIN_BYTES + 16];
};

/* Includes the shim if places has it. Without flags of runtimes if quiet, as for an exec: tools
 * such as jcmd would print them. The words point into places, which must outlive them. */
void words_make(const struct request *request, const struct places *places, bool quiet,
                struct words *words);

/* Everything that is asked for, from all sources. bundle: its image is examined. Reports what is
 * ignored unless quiet. */
struct wishes {
    struct request request;
    struct policy policy;
    struct image image;
};
void wishes_read(const struct arguments *arguments, const char *bundle, yyjson_mut_val *config,
                 yyjson_mut_val *process, bool quiet, struct wishes *wishes);
void wishes_free(struct wishes *wishes);

/* Loads a JSON file, with numbers as they are written. Returns NULL with the obstacle. */
yyjson_mut_doc *document_load(const char *path, char obstacle[OBSTACLE_BYTES]);
bool document_save(const char *path, yyjson_mut_doc *document, char obstacle[OBSTACLE_BYTES]);

/* Reports the obstacle. Returns whether to start anyway. */
bool fail_open(const struct arguments *arguments, bool require, const char *what,
               const char *obstacle);

#endif
