#include "procfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static ssize_t read_and_close(int file, char *text, size_t size) {
    size_t used = 0;
    ssize_t result = 0;
    while (used < size - 1) {
        result = read(file, text + used, size - 1 - used);
        if (result < 0 && errno == EINTR)
            continue;
        if (result <= 0)
            break;
        used += (size_t)result;
    }
    int error = errno;
    close(file);
    text[used] = '\0';
    return result < 0 ? -error : (ssize_t)used;
}

ssize_t procfile_read(const char *path, char *text, size_t size) {
    return procfile_read_at(AT_FDCWD, path, text, size);
}

ssize_t procfile_read_at(int directory, const char *name, char *text, size_t size) {
    int file = openat(directory, name, O_RDONLY | O_CLOEXEC);
    return file < 0 ? -errno : read_and_close(file, text, size);
}

bool procfile_stat(int directory, const char *name, struct pidstat *stat) {
    char text[PIDSTAT_BYTES];
    ssize_t length = procfile_read_at(directory, name, text, sizeof text);
    return length > 0 && pidstat_parse(text, (size_t)length, stat);
}

/* Uses a descriptor that opens nothing (open(2): O_PATH), so that the file that is read is the one
 * that was checked. */
ssize_t procfile_read_regular(const char *path, char *text, size_t size) {
    struct stat status;
    char link[32];
    int found = open(path, O_PATH | O_CLOEXEC);
    if (found < 0)
        return -errno;
    ssize_t length = -EINVAL;
    snprintf(link, sizeof link, "/proc/self/fd/%d", found);
    if (fstat(found, &status) == 0 && S_ISREG(status.st_mode))
        length = procfile_read(link, text, size);
    close(found);
    return length;
}

/* Finds the line of that name in text. An incomplete last line is moved to the front. */
static bool take_row(char *text, size_t *used, const char *name, char *value, size_t size) {
    char *row = text, *end;
    size_t name_length = strlen(name);
    for (; (end = memchr(row, '\n', *used)) != NULL; row = end + 1) {
        size_t length = (size_t)(end - row);
        *used -= length + 1;
        if (length <= name_length || length - name_length > size || row[name_length] != ':' ||
            memcmp(row, name, name_length) != 0)
            continue;
        memcpy(value, row + name_length + 1, length - name_length - 1);
        value[length - name_length - 1] = '\0';
        return true;
    }
    memmove(text, row, *used);
    return false;
}

bool procfile_row(const char *path, const char *name, char *value, size_t size) {
    char text[1024];
    size_t used = 0;
    bool is_found = false;
    ssize_t length = 1;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    while (file >= 0 && !is_found && length > 0) {
        /* A line this long is none that anybody looks for; nor is its rest, which begins with '
         * '. */
        if (used == sizeof text) {
            text[0] = ' ';
            used = 1;
        }
        length = read(file, text + used, sizeof text - used);
        if (length < 0 && errno == EINTR) {
            length = 1;
            continue;
        }
        used += length > 0 ? (size_t)length : 0;
        is_found = take_row(text, &used, name, value, size);
    }
    if (file >= 0)
        close(file);
    return is_found;
}

int descriptor_above_stdio(int descriptor) {
    if (descriptor < 0)
        return -errno;
    if (descriptor > STDERR_FILENO)
        return descriptor;
    int moved = fcntl(descriptor, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    int error = errno;
    close(descriptor);
    return moved < 0 ? -error : moved;
}
