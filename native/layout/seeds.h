/* One secret seed for the runtimes of a group: with random ones of their own, hash tables differ
 * from copy to copy. */
#ifndef KSMRUN_SEEDS_H
#define KSMRUN_SEEDS_H

#include "bases.h"

/* For those that take theirs from the environment: a copy of envp with the variables that are not
 * there yet; what the user has set stays. Returns NULL where memory ran out. Never freed: exec
 * takes it. */
char **seeds_environment(char **envp, const unsigned char key[KEY_BYTES]);

/* For those that the preloaded shim gives theirs (../preload/seeding.c): its word of KSMRUN_SHIM.
 * The variables above tell nothing of it. */
enum { SEEDS_WORD_BYTES = 5 + 2 * 32 + 1 };
void seeds_shim_word(const unsigned char key[KEY_BYTES], char word[SEEDS_WORD_BYTES]);

#endif
