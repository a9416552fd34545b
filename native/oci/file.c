#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Real ones have some 10 KiB. */
enum { FILE_BYTES_MAX = 64 << 20 };

static int read_all(int descriptor, char *bytes, size_t length) {
    for (size_t used = 0; used < length;) {
        ssize_t got = read(descriptor, bytes + used, length - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? -errno : -EIO;
        used += (size_t)got;
    }
    return 0;
}

static int write_all(int descriptor, const char *bytes, size_t length) {
    while (length > 0) {
        ssize_t put = write(descriptor, bytes, length);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return -errno;
        bytes += put;
        length -= (size_t)put;
    }
    return 0;
}

int file_read(const char *path, char **bytes, size_t *length) {
    struct stat status;
    if (stat(path, &status) != 0)
        return -errno;
    if (!S_ISREG(status.st_mode))
        return -EINVAL;
    if (status.st_size > FILE_BYTES_MAX)
        return -EFBIG;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return -errno;
    *length = (size_t)status.st_size;
    *bytes = malloc(*length + 1);
    int result = *bytes == NULL ? -ENOMEM : read_all(descriptor, *bytes, *length);
    close(descriptor);
    if (result != 0) {
        free(*bytes);
        *bytes = NULL;
    }
    return result;
}

static int fill(int descriptor, const struct stat *model, const char *bytes, size_t length) {
    int result = write_all(descriptor, bytes, length);
    if (result != 0)
        return result;
    /* The owner goes first, as chown clears bits of the mode. */
    struct stat status;
    if (fstat(descriptor, &status) != 0)
        return -errno;
    if ((status.st_uid != model->st_uid || status.st_gid != model->st_gid) &&
        fchown(descriptor, model->st_uid, model->st_gid) != 0)
        return -errno;
    return fchmod(descriptor, model->st_mode & 07777) == 0 ? 0 : -errno;
}

int file_replace(const char *path, const char *bytes, size_t length) {
    char target[PATH_MAX], temporary[PATH_MAX + sizeof ".ksmrun-XXXXXX"];
    struct stat model;
    if (realpath(path, target) == NULL || stat(target, &model) != 0)
        return -errno;
    snprintf(temporary, sizeof temporary, "%s.ksmrun-XXXXXX", target);
    int descriptor = mkostemp(temporary, O_CLOEXEC);
    if (descriptor < 0)
        return -errno;
    int result = fill(descriptor, &model, bytes, length);
    if (close(descriptor) != 0 && result == 0)
        result = -errno;
    if (result == 0 && rename(temporary, target) != 0)
        result = -errno;
    if (result != 0)
        unlink(temporary);
    return result;
}
