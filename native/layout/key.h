/* File with a group's key, or with the master key that it is derived from. */
#ifndef KSMRUN_KEY_H
#define KSMRUN_KEY_H

#include "bases.h"
#include "reason.h"

/* Reads a key of KEY_BYTES that nobody else can read; if group is given, derives the group's key
 * from it. Returns 0, or -1 with the reason, which ends with what to do. */
int key_read(const char *file, const char *group, unsigned char key[KEY_BYTES],
             char reason[REASON_BYTES]);

#endif
