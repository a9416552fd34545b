/* Lines for the operator: what happened; what to do. */
#ifndef KSMRUN_MESSAGE_H
#define KSMRUN_MESSAGE_H

/* Writes "ksmrun-exec: ..." and a newline to stderr with one write(2), of PIPE_BUF bytes at most,
 * so that the lines of many launches at once do not mix; the middle of a longer one is left out.
 * Control characters become '?': a file name cannot forge a line. */
__attribute__((format(printf, 1, 2))) void message(const char *format, ...);

#endif
