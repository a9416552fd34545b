/* See tcache.c. */
#ifndef KSMRUN_TCACHE_H
#define KSMRUN_TCACHE_H

#include "settings.h"

void tcache_begin(const unsigned char seed[SEED_BYTES]);

#endif
