/* The function of a name in the libraries behind the shim: what a call is handed on to. */
#ifndef KSMRUN_NEXT_H
#define KSMRUN_NEXT_H

/* Returns NULL where there is none. Not for a child of a
 * program with threads: it may wait for a lock. */
void *next_function(const char *name);

#endif
