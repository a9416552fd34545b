/* Finds out whether a running process has the layout of a group: computed from where its stack
 * ends, by whoever has the group's key. Nothing is stored for that, in the process or beside it. */
#ifndef KSMRUN_MEMBERSHIP_H
#define KSMRUN_MEMBERSHIP_H

#include <sys/types.h>

#include "bases.h"

enum membership { MEMBER, NO_MEMBER, MEMBER_UNKNOWN };

/* machine: of programs of this process's own kind. UNKNOWN: its maps, its file or its limits cannot
 * be read. */
enum membership membership_of(pid_t pid, const struct machine *machine,
                              const unsigned char key[KEY_BYTES]);

#endif
