#include "message.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A path may be PATH_MAX long, and a line names two at most. */
enum { LINE_BYTES = 9216 };

/* A stderr that is closed, full or without reader must not stop the launch: SIGPIPE and SIGXFSZ are
 * held back during the write, and one that it raised is taken away again. */
static void write_to_stderr(const char *line, size_t size) {
    sigset_t both, before, pending;
    sigemptyset(&both);
    sigaddset(&both, SIGPIPE);
    sigaddset(&both, SIGXFSZ);
    sigprocmask(SIG_BLOCK, &both, &before);
    sigpending(&pending);
    if (write(STDERR_FILENO, line, size) < 0) {
        static const struct timespec now = {0};
        if (sigismember(&pending, SIGPIPE))
            sigdelset(&both, SIGPIPE);
        if (sigismember(&pending, SIGXFSZ))
            sigdelset(&both, SIGXFSZ);
        sigtimedwait(&both, NULL, &now);
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
}

void message(const char *format, ...) {
    static const char prefix[] = "ksmrun-exec: ";
    char line[LINE_BYTES];
    size_t used = sizeof prefix - 1;
    memcpy(line, prefix, sizeof prefix);

    va_list arguments;
    va_start(arguments, format);
    int written = vsnprintf(line + used, sizeof line - used - 1, format, arguments);
    va_end(arguments);
    if (written < 0)
        return;
    used = used + (size_t)written < sizeof line - 1 ? used + (size_t)written : sizeof line - 2;

    for (size_t i = 0; i < used; i++) {
        unsigned char byte = (unsigned char)line[i];
        if (byte < 0x20 || byte == 0x7f)
            line[i] = '?';
    }
    line[used++] = '\n';
    write_to_stderr(line, used);
}
