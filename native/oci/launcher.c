#include "launcher.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* Fields that distinguish machines: class, byte order and, after the type, the machine. */
struct machine {
    unsigned char identity[EI_NIDENT], type[2], number[2];
};

static bool read_machine(const char *path, struct machine *machine) {
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (descriptor < 0)
        return false;
    ssize_t length = read(descriptor, machine, sizeof *machine);
    close(descriptor);
    return length == sizeof *machine && memcmp(machine->identity, ELFMAG, SELFMAG) == 0;
}

static bool same_machine(const struct machine *one, const struct machine *other) {
    return one->identity[EI_CLASS] == other->identity[EI_CLASS] &&
           one->identity[EI_DATA] == other->identity[EI_DATA] &&
           memcmp(one->number, other->number, sizeof one->number) == 0;
}

bool launcher_find(char path[PATH_MAX], char obstacle[OBSTACLE_BYTES]) {
    static const char own[] = "/proc/self/exe", name[] = "/ksmrun-exec";
    struct machine ours, its;
    struct stat status;
    struct statvfs mount;
    ssize_t length = readlink(own, path, PATH_MAX - sizeof name);
    path[length > 0 ? length : 0] = '\0';
    char *slash = strrchr(path, '/');
    if (slash == NULL) {
        snprintf(obstacle, OBSTACLE_BYTES, "%s cannot be read: %s", own, strerror(errno));
        return false;
    }
    strcpy(slash, name);
    if (stat(path, &status) != 0) {
        snprintf(obstacle, OBSTACLE_BYTES, "%.160s: %s; put it there", path, strerror(errno));
        return false;
    }
    /* Every user of a container must be able to execute it. */
    bool is_open = S_ISREG(status.st_mode) && (status.st_mode & 0555) == 0555;
    bool is_executable = statvfs(path, &mount) == 0 && (mount.f_flag & ST_NOEXEC) == 0;
    if (!is_open || !is_executable)
        snprintf(obstacle, OBSTACLE_BYTES, "%.160s cannot be executed by everyone; %s", path,
                 is_open ? "mount it without noexec" : "chmod 755 it");
    else if (!read_machine(own, &ours) || !read_machine(path, &its) || !same_machine(&ours, &its))
        snprintf(obstacle, OBSTACLE_BYTES, "%.160s is not for this machine; install it again",
                 path);
    else
        return true;
    return false;
}
