#include "procfile.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

ssize_t procfile_read_at(int directory, const char *name, char *text, size_t size) {
    int file = openat(directory, name, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return -errno;
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
