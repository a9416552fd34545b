/* See java.c. */
#ifndef KSMRUN_JAVA_H
#define KSMRUN_JAVA_H

#include "settings.h"

/* Does nothing in other programs. */
void java_begin(const unsigned char seed[SEED_BYTES]);

#endif
