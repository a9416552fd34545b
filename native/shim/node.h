/* See node.c. */
#ifndef KSMRUN_NODE_H
#define KSMRUN_NODE_H

#include <stdbool.h>

#include "settings.h"

bool node_is_there(void);
void node_begin(const unsigned char seed[SEED_BYTES], char **environment);

#endif
