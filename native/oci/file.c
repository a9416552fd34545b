#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

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

/* Resolves a path. The owner of a bundle's folder could point a link at another's bundle, so only
 * links of root's and of this user's count. */
static int resolve(const char *path, char target[PATH_MAX], struct stat *status) {
    struct stat link;
    if (lstat(path, &link) != 0 || stat(path, status) != 0)
        return -errno;
    if (!S_ISREG(status->st_mode))
        return -EINVAL;
    if (!S_ISLNK(link.st_mode))
        return snprintf(target, PATH_MAX, "%s", path) < PATH_MAX ? 0 : -ENAMETOOLONG;
    if (link.st_uid != 0 && link.st_uid != geteuid())
        return -ELOOP;
    return realpath(path, target) != NULL ? 0 : -errno;
}

int file_read(const char *path, char **bytes, size_t *length) {
    char target[PATH_MAX];
    struct stat status;
    *bytes = NULL;
    int result = resolve(path, target, &status);
    if (result != 0)
        return result;
    /* Whatever may have replaced it since then is neither followed nor waited for. */
    int descriptor = open(target, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW);
    if (descriptor < 0)
        return -errno;
    if (fstat(descriptor, &status) != 0)
        result = -errno;
    else if (!S_ISREG(status.st_mode))
        result = -EINVAL;
    else if (status.st_size > FILE_BYTES_MAX)
        result = -EFBIG;
    if (result == 0) {
        *length = (size_t)status.st_size;
        *bytes = malloc(*length + 1);
        result = *bytes == NULL ? -ENOMEM : read_all(descriptor, *bytes, *length);
    }
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
    /* The owner is set first, because chown clears bits of the mode. */
    struct stat status;
    if (fstat(descriptor, &status) != 0)
        return -errno;
    if ((status.st_uid != model->st_uid || status.st_gid != model->st_gid) &&
        fchown(descriptor, model->st_uid, model->st_gid) != 0)
        return -errno;
    /* The new file is complete on disk before it replaces the old one. */
    return fchmod(descriptor, model->st_mode & 0777) == 0 && fsync(descriptor) == 0 ? 0 : -errno;
}

/* In the open folder: its path may lead elsewhere by now. */
static int put(int folder, const char *name, const struct stat *model, const char *bytes,
               size_t length) {
    char temporary[NAME_MAX + 1];
    uint64_t random;
    if (getrandom(&random, sizeof random, 0) != sizeof random)
        return -errno;
    snprintf(temporary, sizeof temporary, ".ksmrun-%016llx", (unsigned long long)random);
    int descriptor =
        openat(folder, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (descriptor < 0)
        return -errno;
    int result = fill(descriptor, model, bytes, length);
    if (close(descriptor) != 0 && result == 0)
        result = -errno;
    if (result == 0 && renameat(folder, temporary, folder, name) != 0)
        result = -errno;
    if (result != 0)
        unlinkat(folder, temporary, 0);
    return result;
}

int file_replace(const char *path, const char *bytes, size_t length) {
    char target[PATH_MAX];
    struct stat model;
    int result = resolve(path, target, &model);
    if (result != 0)
        return result;
    char *slash = strrchr(target, '/');
    const char *name = slash != NULL ? slash + 1 : target;
    if (slash != NULL)
        *slash = '\0';
    int folder = open(slash == NULL     ? "."
                      : slash == target ? "/"
                                        : target,
                      O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return -errno;
    if (fstatat(folder, name, &model, AT_SYMLINK_NOFOLLOW) != 0)
        result = -errno;
    else
        result = S_ISREG(model.st_mode) ? put(folder, name, &model, bytes, length) : -EINVAL;
    close(folder);
    return result;
}

int file_put_secret(const char *path, const char *name, const void *bytes, size_t length,
                    uid_t owner) {
    struct stat model;
    int folder = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return -errno;
    model = (struct stat){.st_mode = 0400, .st_uid = owner, .st_gid = getegid()};
    int result = put(folder, name, &model, bytes, length);
    close(folder);
    return result;
}
