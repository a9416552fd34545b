/* --probe: findings about this kernel as one JSON object on stdout. */
#ifndef KSMRUN_PROBE_H
#define KSMRUN_PROBE_H

/* Returns the exit code. */
int probe_print(void);

#endif
