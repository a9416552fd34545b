#include "log.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A path may be PATH_MAX long, and a line names two at most. No more is written than a pipe takes
 * at once (POSIX: write(), PIPE_BUF is 4096 on Linux), so that it neither blocks halfway nor mixes
 * with others' lines: each byte may need two. */
enum { MESSAGE_BYTES = 9216, KEPT_BYTES = 1900, FRAME_BYTES = 192 };
_Static_assert(2 * KEPT_BYTES + FRAME_BYTES <= PIPE_BUF, "one write of a line");

static const char *const level_names[] = {"warning", "error"};

/* Length of the character (RFC 3629), or 0 if the bytes are none, or a control character. */
static int character_bytes(const unsigned char *at) {
    int length = at[0] < 0x80 ? 1 : at[0] >> 5 == 6 ? 2 : at[0] >> 4 == 14 ? 3 : 4;
    if (at[0] < 0x20 || at[0] == 0x7f || (length == 4 && (at[0] < 0xf0 || at[0] > 0xf4)))
        return 0;
    for (int i = 1; i < length; i++)
        if (at[i] >> 6 != 2)
            return 0;
    bool is_overlong = at[0] == 0xc0 || at[0] == 0xc1 || (at[0] == 0xe0 && at[1] < 0xa0) ||
                       (at[0] == 0xf0 && at[1] < 0x90);
    bool is_beyond = (at[0] == 0xed && at[1] > 0x9f) || (at[0] == 0xf4 && at[1] > 0x8f);
    bool is_control = at[0] == 0xc2 && at[1] < 0xa0;
    /* The ends of lines and paragraphs, U+2028 and U+2029. */
    bool is_end = at[0] == 0xe2 && at[1] == 0x80 && (at[2] == 0xa8 || at[2] == 0xa9);
    return is_overlong || is_beyond || is_control || is_end ? 0 : length;
}

/* Escapes what JSON and logrus' text require; what controls a terminal or is not UTF-8 becomes
 * "?". */
static void escape(const char *text, char *escaped) {
    while (*text != '\0') {
        int length = character_bytes((const unsigned char *)text);
        if (*text == '"' || *text == '\\')
            *escaped++ = '\\';
        if (length == 0)
            *escaped++ = '?';
        else
            memcpy(escaped, text, (size_t)length);
        escaped += length;
        text += length == 0 ? 1 : length;
    }
    *escaped = '\0';
}

/* Cuts out the middle of a long one: what happened comes first, and what to do last. */
static void shorten(char *text) {
    static const char gap[] = " ... ";
    size_t length = strlen(text), half = (KEPT_BYTES - sizeof gap) / 2;
    if (length <= KEPT_BYTES)
        return;
    memcpy(text + half, gap, sizeof gap - 1);
    memmove(text + half + sizeof gap - 1, text + length - half, half + 1);
}

/* runc's is a path; crun's may have a prefix with the kind. The journal and syslog would need a
 * protocol of their own, so for those it is stderr. */
static int open_log(const char *log) {
    static const char file[] = "file:";
    if (log == NULL || *log == '\0')
        return STDERR_FILENO;
    if (strncmp(log, file, sizeof file - 1) == 0)
        log += sizeof file - 1;
    /* 0644 as in runc (main.go). Never waits for the reader of a pipe. */
    int descriptor =
        open(log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0644);
    return descriptor < 0 ? STDERR_FILENO : descriptor;
}

void log_line(const struct arguments *arguments, enum level level, const char *format, ...) {
    char text[MESSAGE_BYTES], escaped[2 * KEPT_BYTES + 1], now[32],
        line[sizeof escaped + FRAME_BYTES];
    va_list values;
    va_start(values, format);
    int written = vsnprintf(text, sizeof text, format, values);
    va_end(values);
    if (written < 0)
        return;
    shorten(text);
    escape(text, escaped);
    time_t seconds = time(NULL);
    struct tm parts;
    if (gmtime_r(&seconds, &parts) == NULL ||
        strftime(now, sizeof now, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0)
        return;
    bool is_json = arguments->log_format != NULL && strcmp(arguments->log_format, "json") == 0;
    const char *name = level_names[level];
    int length = is_json
                     ? snprintf(line, sizeof line,
                                "{\"level\":\"%s\",\"msg\":\"ksmrun-oci: %s\",\"time\":\"%s\"}\n",
                                name, escaped, now)
                     : snprintf(line, sizeof line, "time=\"%s\" level=%s msg=\"ksmrun-oci: %s\"\n",
                                now, name, escaped);
    bool is_journal = arguments->log != NULL && (strncmp(arguments->log, "journald:", 9) == 0 ||
                                                 strncmp(arguments->log, "syslog:", 7) == 0);
    int descriptor = is_journal ? STDERR_FILENO : open_log(arguments->log);
    /* A log that is full or closed must not stop anything. */
    void (*before)(int) = signal(SIGPIPE, SIG_IGN);
    ssize_t ignored = write(descriptor, line, (size_t)length);
    (void)ignored;
    signal(SIGPIPE, before);
    if (descriptor != STDERR_FILENO)
        close(descriptor);
}
