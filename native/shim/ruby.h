/* See ruby.c. 64-bit. */
#ifndef KSMRUN_RUBY_H
#define KSMRUN_RUBY_H

#include <stdbool.h>

#include "settings.h"

bool ruby_is_there(void);
void ruby_begin(const unsigned char seed[SEED_BYTES]);

#endif
