/* Calls in which a child's memory growth is noticed. See forward.c. */
#ifndef KSMRUN_FORWARD_H
#define KSMRUN_FORWARD_H

/* Finds the functions to which the calls are forwarded. */
void forward_begin(void);

#endif
