/* Lines for the operator: what happened; what to do. */
#ifndef KSMRUN_MESSAGE_H
#define KSMRUN_MESSAGE_H

/* Writes "ksmrun-exec: ..." and a newline to stderr with one write(2), so that the lines of many
 * launches at once do not mix. Control characters become '?': a file name cannot forge a line. */
__attribute__((format(printf, 1, 2))) void message(const char *format, ...);

#endif
