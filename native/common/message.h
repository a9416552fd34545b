/* Messages for the operator: what happened; what to do. */
#ifndef KSMRUN_MESSAGE_H
#define KSMRUN_MESSAGE_H

/* Writes "ksmrun-exec: ..." and a newline to stderr by one write(2) of PIPE_BUF bytes at most, so
 * that lines of concurrent launches do not mix; the middle of a longer message is cut out. Control
 * characters become '?', so a file name cannot forge a line. */
__attribute__((format(printf, 1, 2))) void message(const char *format, ...);

#endif
