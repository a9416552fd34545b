#include "candidates.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A key press has to be answered at once, whatever the host has. */
enum { ENTRIES_MAX = 20000, DEPTH_MAX = 8, ID_DIGITS = 64, ID_SHOWN = 12 };

struct walk {
    const char *prefix, *start;
    bool services; /* services only, else scopes, too */
    bool containers;
    int left;
};

void candidates_offer(const char *prefix, const char *value, const char *help, const char *start) {
    if (strncmp(value, start, strlen(start)) != 0)
        return;
    for (const char *each = value; *each != '\0'; each++)
        if (iscntrl((unsigned char)*each))
            return; /* a line feed would make two of it */
    printf("%s%s\t", prefix, value);
    for (; *help != '\0'; help++)
        putchar(iscntrl((unsigned char)*help) ? '?' : *help);
    putchar('\n');
}

/* The first bytes of a small file without the line's end; false where it cannot be read. No FIFO is
 * waited for. */
static bool read_line(int folder, const char *path, char *text, size_t size) {
    int file = openat(folder, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (file < 0)
        return false;
    ssize_t length = read(file, text, size - 1);
    close(file);
    if (length < 0)
        return false;
    text[length] = '\0';
    text[strcspn(text, "\n")] = '\0';
    return true;
}

static bool is_number(const char *text) {
    return *text != '\0' && text[strspn(text, "0123456789")] == '\0';
}

static void print_pids(const char *prefix, const char *start) {
    DIR *folder = opendir("/proc");
    if (folder == NULL)
        return;
    char path[PATH_MAX], text[64];
    int left = ENTRIES_MAX;
    for (struct dirent *entry; left > 0 && (entry = readdir(folder)) != NULL; left--) {
        if (!is_number(entry->d_name) || strncmp(entry->d_name, start, strlen(start)) != 0)
            continue;
        /* Threads of the kernel have no memory (proc(5): statm). */
        snprintf(path, sizeof path, "%s/statm", entry->d_name);
        if (!read_line(dirfd(folder), path, text, sizeof text) || strncmp(text, "0 ", 2) == 0)
            continue;
        snprintf(path, sizeof path, "%s/comm", entry->d_name);
        if (read_line(dirfd(folder), path, text, sizeof text))
            candidates_offer(prefix, entry->d_name, text, start);
    }
    closedir(folder);
}

static bool ends_with(const char *text, const char *end) {
    size_t length = strlen(text), wanted = strlen(end);
    return length >= wanted && strcmp(text + length - wanted, end) == 0;
}

/* The ID in a container's cgroup: docker-ID.scope, libpod-ID.scope, cri-containerd-ID.scope, ID. */
static void offer_container(const struct walk *walk, const char *name) {
    const char *id = strrchr(name, '-');
    id = id == NULL ? name : id + 1;
    if (strspn(id, "0123456789abcdef") != ID_DIGITS ||
        (id[ID_DIGITS] != '\0' && strcmp(id + ID_DIGITS, ".scope") != 0))
        return;
    char shown[ID_SHOWN + 1], engine[64];
    snprintf(shown, sizeof shown, "%.*s", ID_SHOWN, id);
    snprintf(engine, sizeof engine, "%.*s", id == name ? 0 : (int)(id - name - 1), name);
    candidates_offer(walk->prefix, shown, *engine == '\0' ? "container" : engine, walk->start);
}

static void offer_unit(const struct walk *walk, const char *name) {
    if (ends_with(name, ".service"))
        candidates_offer(walk->prefix, name, "service", walk->start);
    else if (!walk->services && (ends_with(name, ".scope") || ends_with(name, ".slice")))
        candidates_offer(walk->prefix, name, strrchr(name, '.') + 1, walk->start);
}

/* Takes over the descriptor. */
static void walk_cgroups(struct walk *walk, int descriptor, int depth) {
    DIR *folder = descriptor < 0 ? NULL : fdopendir(descriptor);
    if (folder == NULL) {
        if (descriptor >= 0)
            close(descriptor);
        return;
    }
    for (struct dirent *entry; walk->left > 0 && (entry = readdir(folder)) != NULL;) {
        if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
            continue;
        walk->left--;
        if (walk->containers)
            offer_container(walk, entry->d_name);
        else
            offer_unit(walk, entry->d_name);
        int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW;
        if (depth < DEPTH_MAX)
            walk_cgroups(walk, openat(dirfd(folder), entry->d_name, flags), depth + 1);
    }
    closedir(folder);
}

static void print_cgroups(struct walk walk) {
    /* The second is where version 1 has systemd's. */
    static const char *const roots[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/systemd"};
    const char *root = access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0 ? roots[0] : roots[1];
    walk.left = ENTRIES_MAX;
    walk_cgroups(&walk, open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC), 0);
}

/* Each file of a folder whose name ends so, without that end if it is cut. */
static void print_files(const char *path, const char *end, bool cut, const char *help,
                        const char *prefix, const char *start) {
    DIR *folder = opendir(path);
    if (folder == NULL)
        return;
    char name[NAME_MAX + 1];
    int left = ENTRIES_MAX;
    for (struct dirent *entry; left > 0 && (entry = readdir(folder)) != NULL; left--) {
        if (entry->d_name[0] == '.' || !ends_with(entry->d_name, end))
            continue;
        size_t length = strlen(entry->d_name) - (cut ? strlen(end) : 0);
        snprintf(name, sizeof name, "%.*s", (int)length, entry->d_name);
        candidates_offer(prefix, name, help, start);
    }
    closedir(folder);
}

static void print_services(const char *prefix, const char *start) {
    /* systemd.unit(5), UNIT FILE LOAD PATH; the shell drops what comes twice. */
    static const char *const folders[] = {"/etc/systemd/system", "/run/systemd/system",
                                          "/usr/local/lib/systemd/system",
                                          "/usr/lib/systemd/system"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        print_files(folders[i], ".service", false, "service", prefix, start);
}

/* As ksmrun/host/layout_keys.py: keys_folder(). */
static void print_groups(const char *prefix, const char *start) {
    char folder[PATH_MAX], path[PATH_MAX + 8];
    const char *given = getenv("KSMRUN_LAYOUT_DIR"), *base = getenv("XDG_RUNTIME_DIR");
    if (given != NULL && *given != '\0')
        snprintf(folder, sizeof folder, "%s", given);
    else if (geteuid() == 0 || base == NULL)
        snprintf(folder, sizeof folder, "/run/ksmrun/layout");
    else
        snprintf(folder, sizeof folder, "%s/ksmrun/layout", base);
    candidates_offer(prefix, "default", "layout group", start);
    snprintf(path, sizeof path, "%s/groups", folder);
    print_files(path, "", false, "layout group", prefix, start);
    snprintf(path, sizeof path, "%s/units", folder);
    print_files(path, ".key", true, "layout group", prefix, start);
}

/* NAME=VALUE with the present value; where there are several, it is the one in brackets. */
static void print_tunables(const char *prefix, const char *start) {
    DIR *folder = opendir("/sys/kernel/mm/ksm");
    if (folder == NULL)
        return;
    char text[128], setting[NAME_MAX + sizeof text + 2];
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        struct stat status;
        if (fstatat(dirfd(folder), entry->d_name, &status, 0) != 0 || !S_ISREG(status.st_mode) ||
            (status.st_mode & S_IWUSR) == 0 ||
            !read_line(dirfd(folder), entry->d_name, text, sizeof text))
            continue;
        const char *value = strchr(text, '[');
        value = value == NULL ? text : value + 1;
        snprintf(setting, sizeof setting, "%s=%.*s", entry->d_name, (int)strcspn(value, "] "),
                 value);
        candidates_offer(prefix, setting, "present value", start);
    }
    closedir(folder);
}

bool candidates_print(const char *kind, const char *prefix, const char *start) {
    struct walk walk = {.prefix = prefix, .start = start};
    if (strcmp(kind, "pid") == 0) {
        print_pids(prefix, start);
    } else if (strcmp(kind, "unit") == 0) {
        print_cgroups(walk);
    } else if (strcmp(kind, "service") == 0) {
        print_services(prefix, start);
    } else if (strcmp(kind, "container") == 0) {
        walk.containers = true;
        print_cgroups(walk);
    } else if (strcmp(kind, "group") == 0) {
        print_groups(prefix, start);
    } else if (strcmp(kind, "tunable") == 0) {
        print_tunables(prefix, start);
    } else {
        return strcmp(kind, "none") == 0;
    }
    return true;
}
