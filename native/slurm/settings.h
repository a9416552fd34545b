/* What a job asks for, by options of srun, sbatch and salloc, and what plugstack.conf presets. */
#ifndef KSMRUN_SLURM_SETTINGS_H
#define KSMRUN_SLURM_SETTINGS_H

#include <stdbool.h>

/* WISH_NONE: not said. */
enum wish { WISH_NONE, WISH_OFF, WISH_ON, WISH_REQUIRE };
/* As long as a group's name may be (ksmrun/host/layout_keys.py). */
enum { GROUP_BYTES = 65 };

struct settings {
    enum wish preset; /* of plugstack.conf */
    enum wish wish;   /* of the command line */
    char group[GROUP_BYTES];
    const char *libexec; /* folder with ksmrun-exec and ksmrun-slurm-task */
};

/* Returns whether the text is on, off or require. */
bool wish_parse(const char *text, enum wish *wish);

/* Returns whether the text may be a group's name. */
bool group_parse(const char *text, char group[GROUP_BYTES]);

/* Takes a word of plugstack.conf: default=on|off|require or libexec=FOLDER. */
bool preset_parse(const char *word, struct settings *settings);

/* What is to be done. A group implies merging, unless that is switched off by name. */
enum wish settings_wish(const struct settings *settings);

#endif
