/* Calls in which growth of a child's memory is noticed. See forward.c. */
#ifndef KSMRUN_FORWARD_H
#define KSMRUN_FORWARD_H

/* Looks for what the calls are handed on to. */
void forward_begin(void);

#endif
