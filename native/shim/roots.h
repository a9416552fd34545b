/* ld.so says a line for each library of LD_PRELOAD that it does not find: what is executed in
 * another root, where the shim is not, gets an environment without it. */
#ifndef KSMRUN_ROOTS_H
#define KSMRUN_ROOTS_H

void roots_begin(void);

/* This process has another root now. */
void roots_note(void);

#endif
