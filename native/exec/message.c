#include "message.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A path may be PATH_MAX long, and a line names two at most. */
enum { LINE_BYTES = 9216 };

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
    /* A stderr that is closed or full must not stop the launch. */
    ssize_t ignored = write(STDERR_FILENO, line, used);
    (void)ignored;
}
