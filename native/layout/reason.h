/* Reason why a layout is impossible. */
#ifndef KSMRUN_REASON_H
#define KSMRUN_REASON_H

enum { REASON_BYTES = 512 };

/* Writes the reason, "what happened; what to do", and returns -1. */
__attribute__((format(printf, 2, 3))) int refuse(char reason[REASON_BYTES], const char *format,
                                                 ...);

#endif
