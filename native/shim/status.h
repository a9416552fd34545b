/* Status of the sweeper, for `ksmrun ps`: a memfd in the sweeper's own descriptor table, at
 * /proc/PID/task/TID/fd. It needs no path, and vanishes with the process. */
#ifndef KSMRUN_STATUS_H
#define KSMRUN_STATUS_H

#include "sweep.h"

/* Returns the descriptor, or -errno: then there is no status. */
int status_open(void);

void status_write(int file, const struct sweep *sweep);

#endif
