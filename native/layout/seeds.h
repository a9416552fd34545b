/* One secret seed for the runtimes of a group that take theirs from the environment: with random
 * ones of their own, hash tables differ from copy to copy. */
#ifndef KSMRUN_SEEDS_H
#define KSMRUN_SEEDS_H

#include "bases.h"

/* A copy of envp with the variables that are not there yet; what the user has set stays. Returns
 * NULL where memory ran out. Never freed: exec takes it. */
char **seeds_environment(char **envp, const unsigned char key[KEY_BYTES]);

#endif
