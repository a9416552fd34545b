#include "log.h"

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A path may be PATH_MAX long, and a line names two at most. */
enum { MESSAGE_BYTES = 9216 };

static const char *const level_names[] = {"warning", "error"};

/* What JSON and logrus' text have to escape; control characters are shown as "?". */
static void escape(const char *text, char *escaped) {
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            *escaped++ = '\\';
        *escaped++ = (unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text;
    }
    *escaped = '\0';
}

/* runc's is a path; crun's may have the kind in front. The journal and syslog would take a protocol
 * of their own, so for those it is stderr. */
static int open_log(const char *log) {
    static const char file[] = "file:";
    if (log == NULL || *log == '\0')
        return STDERR_FILENO;
    if (strncmp(log, file, sizeof file - 1) == 0)
        log += sizeof file - 1;
    /* 0644 as runc has it (main.go). Never waits for the reader of a pipe. */
    int descriptor =
        open(log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0644);
    return descriptor < 0 ? STDERR_FILENO : descriptor;
}

void log_line(const struct arguments *arguments, enum level level, const char *format, ...) {
    char text[MESSAGE_BYTES], escaped[2 * MESSAGE_BYTES], now[32], line[sizeof escaped + 128];
    va_list values;
    va_start(values, format);
    int written = vsnprintf(text, sizeof text, format, values);
    va_end(values);
    if (written < 0)
        return;
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
    /* A log that is full or closed stops nothing. */
    void (*before)(int) = signal(SIGPIPE, SIG_IGN);
    ssize_t ignored = write(descriptor, line, (size_t)length);
    (void)ignored;
    signal(SIGPIPE, before);
    if (descriptor != STDERR_FILENO)
        close(descriptor);
}
