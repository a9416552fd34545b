/* Whether a running process has the layout of a group: told by whoever has the group's key, from
 * where its stack ends. Nothing is kept for that, in the process or beside it. */
#ifndef KSMRUN_MEMBERSHIP_H
#define KSMRUN_MEMBERSHIP_H

#include <sys/types.h>

#include "bases.h"

enum membership { MEMBER, NO_MEMBER, MEMBER_UNKNOWN };

/* UNKNOWN: its maps, its file or its limits cannot be read. */
enum membership membership_of(pid_t pid, const struct machine *machine,
                              const unsigned char key[KEY_BYTES]);

#endif
