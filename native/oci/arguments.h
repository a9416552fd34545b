/* The command line of an OCI runtime, as far as it decides what is wrapped. */
#ifndef KSMRUN_OCI_ARGUMENTS_H
#define KSMRUN_OCI_ARGUMENTS_H

#include <stdbool.h>

enum command { COMMAND_OTHER, COMMAND_CREATE, COMMAND_RESTORE, COMMAND_EXEC };

struct arguments {
    /* Ours, which stand in front of all others. */
    const char *runtime; /* NULL: to be found */
    bool by_request;     /* only containers that ask; else all but those that ask not to */
    bool heeds_image;    /* by request, too, what an image may have set counts */
    const char *request; /* what all containers have; NULL: nothing is said */
    const char *policy;  /* the host's configuration; NULL: where it always is */
    bool only_crun;      /* where the runtime is to be found */
    bool help;
    int first; /* index of the first word that is the runtime's */

    enum command command; /* run counts as create */
    const char *unknown;  /* a word that makes the rest uncertain; NULL: all is understood */
    /* The runtime's; NULL where not given. */
    const char *log, *log_format, *root;
    const char *bundle, *config, *process, *user;
    const char *id;
    int exec_words; /* index of the first word of exec's command; 0: none */
};

extern const char arguments_help[];

/* Reads argv, whose strings the result points into. Under a name that ends with "-by-request" it is
 * as with that option. */
void arguments_parse(char **argv, struct arguments *arguments);

#endif
