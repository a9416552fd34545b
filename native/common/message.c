#include "message.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "stderr.h"

/* A path may be PATH_MAX long, and a line names at most two. */
enum { TEXT_BYTES = 9216, LINE_BYTES = STDERR_LINE_BYTES, HEAD_BYTES = LINE_BYTES / 2 };

/* Cuts out the middle: what happened is at the start, and what to do at the end. */
static size_t shorten(char *text, size_t used) {
    static const char gap[] = "...";
    if (used <= LINE_BYTES - 1)
        return used;
    size_t tail = LINE_BYTES - 1 - HEAD_BYTES - (sizeof gap - 1);
    memcpy(text + HEAD_BYTES, gap, sizeof gap - 1);
    memmove(text + HEAD_BYTES + sizeof gap - 1, text + used - tail, tail);
    return LINE_BYTES - 1;
}

/* Replaces ASCII control characters, and Unicode's in UTF-8 (U+0080 to U+009F), which some
 * terminals obey too. */
static void replace_controls(char *text, size_t used) {
    for (size_t i = 0; i < used; i++) {
        unsigned char byte = (unsigned char)text[i],
                      next = i + 1 < used ? (unsigned char)text[i + 1] : 0;
        if (byte < 0x20 || byte == 0x7f)
            text[i] = '?';
        else if (byte == 0xc2 && next >= 0x80 && next <= 0x9f)
            text[i] = text[i + 1] = '?';
    }
}

void message(const char *format, ...) {
    static const char prefix[] = "ksmrun-exec: ";
    char line[TEXT_BYTES];
    size_t used = sizeof prefix - 1;
    memcpy(line, prefix, sizeof prefix);

    va_list arguments;
    va_start(arguments, format);
    int written = vsnprintf(line + used, sizeof line - used, format, arguments);
    va_end(arguments);
    if (written < 0)
        return;
    used = used + (size_t)written < sizeof line ? used + (size_t)written : sizeof line - 1;
    replace_controls(line, used);
    used = shorten(line, used);
    line[used++] = '\n';
    stderr_write(line, used);
}
