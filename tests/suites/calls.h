/* What both files of the program `calls` share. */
#ifndef KSMRUN_CALLS_H
#define KSMRUN_CALLS_H

#include <errno.h>

void tell(const char *what, long result);
/* What the child returns is its exit code; prints how it ended. */
void in_child(const char *what, int (*run)(void));

#define TELL(call) (errno = 0, tell(#call, (long)(call)))
/* Where the answer is a number of its own. */
#define TELL_IF(call) (errno = 0, tell(#call, (long)(call) >= 0 ? 0 : -1))

void locks(void);
void futexes(void);
void pipes(void);
void polling(void);
void limits(void);

#endif
