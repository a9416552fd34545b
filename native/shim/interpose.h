/* Work of the shim inside the program's own calls. See interpose.c. */
#ifndef KSMRUN_INTERPOSE_H
#define KSMRUN_INTERPOSE_H

/* For a program that is marked: forks are followed from here on. */
void interpose_begin(void);

#endif
