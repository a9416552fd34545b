/* One random value for the static Go programs of a group, which place their heap and order their
 * maps by it (AT_RANDOM; runtime/rand.go, runtime/alg.go). Without C code in it, such a program has
 * no stack canary that the value would give away. */
#ifndef KSMRUN_GO_H
#define KSMRUN_GO_H

#include <stdbool.h>

#include "../inject/inject.h"
#include "bases.h"

/* If the file, of an executable, was linked by Go's own linker, without C code, and needs no
 * loader. */
bool go_is_static(const char *path);

/* Replaces the kernel's value in a program that has been moved, before its first instruction.
 * Returns NULL, or what failed. */
const char *go_share_random(struct injection *injection, const unsigned char key[KEY_BYTES]);

#endif
