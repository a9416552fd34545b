/* See ruby.c. */
#ifndef KSMRUN_RUBY_H
#define KSMRUN_RUBY_H

#include "settings.h"

/* Does nothing in other programs. */
void ruby_begin(const unsigned char seed[SEED_BYTES]);

#endif
