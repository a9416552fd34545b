/* See node.c. */
#ifndef KSMRUN_NODE_H
#define KSMRUN_NODE_H

#include "settings.h"

/* Does nothing in other programs. */
void node_begin(const unsigned char seed[SEED_BYTES], char **environment);

#endif
