#include "status.h"

#include "syscalls.h"

enum { MFD_CLOEXEC = 1, MFD_NOEXEC_SEAL = 8, ERROR_INVAL = 22 };
enum { LINE_BYTES = 160 };

struct line {
    char text[LINE_BYTES];
    int length;
};

static void add_text(struct line *line, const char *text) {
    while (*text != '\0' && line->length < LINE_BYTES - 1)
        line->text[line->length++] = *text++;
}

static void add_number(struct line *line, const char *name, size_t number) {
    char digits[24];
    int at = sizeof digits - 1;
    digits[at] = '\0';
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    add_text(line, name);
    add_text(line, digits + at);
}

int status_open(void) {
    const long name = (long)"ksmrun-sweep";
    /* Since 6.3 (105ff5339f49) the kernel logs a line about callers without this flag; before, it
     * rejects the flag. */
    long file = SYSTEM_CALL(NUMBER_MEMFD_CREATE, name, MFD_CLOEXEC | MFD_NOEXEC_SEAL);
    if (file == -ERROR_INVAL)
        file = SYSTEM_CALL(NUMBER_MEMFD_CREATE, name, MFD_CLOEXEC);
    return (int)file;
}

/* Always of the same length, so that a reader never sees the end of a longer line. */
void status_write(int file, const struct sweep *sweep) {
    static const char *const states[] = {
        [SWEEP_AT_WORK] = "at-work",
        [SWEEP_STOPPED_AT_MAP_LIMIT] = "stopped-at-map-limit",
        [SWEEP_STOPPED_EXCLUDED] = "stopped-too-many-unmergeable",
        [SWEEP_NO_KSM] = "ended-madvise-fails",
    };
    struct line line = {.length = 0};
    if (file < 0)
        return;
    add_text(&line, sweep->work == SWEEP_MARK ? "work=mark" : "work=join");
    add_text(&line, " state=");
    add_text(&line, states[sweep->state]);
    add_number(&line, " sweeps=", sweep->sweeps);
    add_number(&line, " vmas=", sweep->vmas);
    add_number(&line, " vmas_max=", sweep->vmas_max);
    add_number(&line, " marked_bytes=", sweep->marked_bytes);
    while (line.length < LINE_BYTES - 1)
        add_text(&line, " ");
    line.text[line.length++] = '\n';
    SYSTEM_CALL(NUMBER_PWRITE64, file, (long)line.text, line.length, 0);
}
