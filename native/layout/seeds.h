/* One secret seed for the runtimes of a group: with individual random ones, hash tables differ from
 * copy to copy. */
#ifndef KSMRUN_SEEDS_H
#define KSMRUN_SEEDS_H

#include "bases.h"

/* For runtimes that read it from the environment: a copy of envp with the variables that are
 * missing; those that the user has set stay. Returns NULL if out of memory. Never freed: exec takes
 * it. */
char **seeds_environment(char **envp, const unsigned char key[KEY_BYTES]);

/* For runtimes that get it from the preloaded shim (../shim/seeding.h): its word in KSMRUN_SHIM,
 * from which the variables above reveal nothing. */
enum { SEEDS_WORD_BYTES = 5 + 2 * 32 + 1 };
void seeds_shim_word(const unsigned char key[KEY_BYTES], char word[SEEDS_WORD_BYTES]);

#endif
