/* Command line of ksmrun-exec as one struct; parsing has no other effect. */
#ifndef KSMRUN_OPTIONS_H
#define KSMRUN_OPTIONS_H

#include <stdbool.h>

#include "variables.h"

/* ACTION_PROBE_LAUNCHED: --probe started this process to see what remains after an exec. */
enum action {
    ACTION_RUN,
    ACTION_LAYOUT_CHECK,
    ACTION_PROBE,
    ACTION_PROBE_LAUNCHED,
    ACTION_VERSION,
    ACTION_HELP
};
enum merge_mode { MERGE_ON, MERGE_OFF, MERGE_KEEP };
/* SEEDS_GO: shared ones, and the random value of static Go programs. */
enum seed_mode { SEEDS_SHARED, SEEDS_OWN, SEEDS_GO };

struct options {
    enum action action;
    enum merge_mode merge;
    bool inject; /* set the flag after the exec */
    bool thp_off;
    const char *preload; /* NULL: none */
    const char *shim;    /* NULL: it only sets the merge flag */
    bool layout_shared;
    bool layout_tree; /* scope: everything that the program starts */
    enum seed_mode seeds;
    const char *layout_key;   /* NULL: not given */
    const char *layout_group; /* NULL: the key is the group's own */
    const char *domain;       /* NULL: none was named */
    const char *trust_folder; /* of the state of the domains */
    const char *argv0;        /* NULL: the command's own name */
    bool require;
    bool quiet;
    bool verify;
    struct variables variables;
    long require_max_map_count; /* 0: not requested */
    char **command;             /* COMMAND and its arguments, NULL-terminated; points into argv */
};

/* Fills *options from argv. Returns true, or false with the reason in error. */
bool options_parse(int argc, char **argv, struct options *options, char *error, int error_bytes);

extern const char options_help[];

#endif
