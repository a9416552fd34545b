/* See java.c. 64-bit. */
#ifndef KSMRUN_JAVA_H
#define KSMRUN_JAVA_H

#include <stdbool.h>

#include "settings.h"

bool java_is_there(void);
void java_begin(const unsigned char seed[SEED_BYTES]);

#endif
