/* Command line of an OCI runtime, as far as it decides what is wrapped. */
#ifndef KSMRUN_OCI_ARGUMENTS_H
#define KSMRUN_OCI_ARGUMENTS_H

#include <stdbool.h>

enum command { COMMAND_OTHER, COMMAND_CREATE, COMMAND_RESTORE, COMMAND_EXEC };

struct arguments {
    /* Our options, which come before all others. */
    const char *runtime; /* NULL: search for it */
    bool by_request;     /* wrap only containers that ask; else all but those that refuse */
    bool heeds_image;    /* by request, settings that an image may have made count too */
    const char *request; /* settings of all containers; NULL: none */
    const char *policy;  /* host's configuration; NULL: in the usual place */
    bool only_crun;      /* while searching for the runtime */
    bool help;
    int first; /* index of the first word for the runtime */

    enum command command; /* run counts as create */
    const char *unknown;  /* a word that makes the rest ambiguous; NULL: none */
    /* The runtime's options; NULL if not given. */
    const char *log, *log_format, *root;
    const char *bundle, *config, *process, *user;
    const char *id;
    int exec_words; /* index of the first word of exec's command; 0: none */
};

extern const char arguments_help[];

/* Parses argv, whose strings the result points into. A program name that ends with "-by-request"
 * implies that option. */
void arguments_parse(char **argv, struct arguments *arguments);

#endif
