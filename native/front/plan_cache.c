#include "plan_cache.h"

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/procfile.h"

enum { CACHE_BYTES = 16384, BOOT_ID_BYTES = 40, OPTIONS_MAX = 3 };

extern char **environ;

/* What follows the name, up to the line's end, of the next line; NULL if it has another name. Cuts
 * the line off. */
static char *take(char **text, const char *name) {
    char *line = *text, *end = strchr(line, '\n');
    size_t length = strlen(name);
    if (end == NULL || strncmp(line, name, length) != 0)
        return NULL;
    *end = '\0';
    *text = end + 1;
    return line + length;
}

static bool has_own_variable(void) {
    for (char **each = environ; *each != NULL; each++)
        if (strncmp(*each, "KSMRUN_", 7) == 0)
            return true;
    return false;
}

/* The command, if only --require, --verify and --quiet stand before it; else NULL. */
static char **command_of(char **words, bool given[OPTIONS_MAX]) {
    static const char *const names[OPTIONS_MAX] = {"--require", "--quiet", "--verify"};
    if (*words == NULL || strcmp(*words++, "run") != 0)
        return NULL;
    for (; *words != NULL && **words == '-'; words++) {
        int option = 0;
        while (option < OPTIONS_MAX && strcmp(*words, names[option]) != 0)
            option++;
        if (option < OPTIONS_MAX) {
            given[option] = true;
        } else if (strcmp(*words, "--") == 0) {
            words++;
            break;
        } else {
            return NULL;
        }
    }
    return *words == NULL || **words == '\0' ? NULL : words;
}

/* As Python looks for it (ksmrun/facts/launcher.py: cache_folder). */
static bool cache_folder(char *folder, size_t size) {
    static const char *const variables[] = {"XDG_RUNTIME_DIR", "XDG_CACHE_HOME", "HOME"};
    if (geteuid() == 0)
        return snprintf(folder, size, "/run/ksmrun") < (int)size;
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) {
        const char *base = getenv(variables[i]);
        if (base == NULL || *base != '/')
            continue;
        int length = snprintf(folder, size, "%s%s/ksmrun", base, i == 2 ? "/.cache" : "");
        return length > 0 && length < (int)size;
    }
    return false;
}

/* Whether this user alone can have written it. Not root's either, for others: it may have asked the
 * kernel in other circumstances. */
static bool is_own(const struct stat *status, mode_t type) {
    return (status->st_mode & S_IFMT) == type && status->st_uid == geteuid() &&
           (status->st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

/* A file may be on a network file system, so it is read, not mapped; any error means none. */
static bool read_file(const char *folder, const char *name, char *text) {
    struct stat status;
    bool is_read = false;
    int file = -1;
    int place = open(folder, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (place >= 0 && fstat(place, &status) == 0 && is_own(&status, S_IFDIR))
        file = openat(place, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (file >= 0 && fstat(file, &status) == 0 && is_own(&status, S_IFREG) &&
        status.st_size < CACHE_BYTES) {
        ssize_t length = pread(file, text, CACHE_BYTES - 1, 0);
        is_read = length > 0 && length == status.st_size;
        text[is_read ? length : 0] = '\0';
        is_read = is_read && strlen(text) == (size_t)length;
    }
    if (file >= 0)
        close(file);
    if (place >= 0)
        close(place);
    return is_read;
}

/* DEVICE INODE BYTES SECONDS NANOSECONDS PATH, each number in decimal. Returns the path if the file
 * there is still that one. */
static const char *unchanged(char *row) {
    enum { DEVICE, INODE, BYTES, SECONDS, NANOSECONDS, NUMBERS };
    unsigned long long numbers[NUMBERS];
    struct stat status;
    for (int i = 0; i < NUMBERS; i++) {
        numbers[i] = strtoull(row, &row, 10);
        if (*row++ != ' ')
            return NULL;
    }
    bool is_same = *row == '/' && stat(row, &status) == 0 && status.st_dev == numbers[DEVICE] &&
                   status.st_ino == numbers[INODE] &&
                   (unsigned long long)status.st_size == numbers[BYTES] &&
                   (unsigned long long)status.st_mtim.tv_sec == numbers[SECONDS] &&
                   (unsigned long long)status.st_mtim.tv_nsec == numbers[NANOSECONDS];
    return is_same ? row : NULL;
}

/* Whether the name of this program is one of those for Python, separated by blanks. */
static bool is_listed(const char *names, const char *program) {
    const char *slash = strrchr(program, '/');
    const char *name = slash == NULL ? program : slash + 1;
    size_t length = strlen(name);
    for (const char *at = names; length > 0 && (at = strstr(at, name)) != NULL; at++)
        if ((at == names || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0'))
            return true;
    return length == 0;
}

static void trim(char *text) {
    char *end = text;
    for (char *at = text; *at != '\0'; at++)
        if (*at != ' ' && *at != '\t' && *at != '\n')
            *end++ = *at;
    *end = '\0';
}

/* "MODE-FILTERS" of this process; kernels before 5.9 do not count filters. */
static bool read_filters(char *filters, size_t size) {
    char mode[16] = "", count[16] = "x";
    if (!procfile_row("/proc/self/status", "Seccomp", mode, sizeof mode))
        return false;
    procfile_row("/proc/self/status", "Seccomp_filters", count, sizeof count);
    trim(mode);
    trim(count);
    return snprintf(filters, size, "%s-%s", mode, count) < (int)size;
}

/* The launcher, if the file holds for this boot, process and front, and for this program. */
static const char *launcher_of(char *text, const char *boot, const char *filters,
                               const char *program) {
    const char *launcher = NULL;
    char *names, *found, *row;
    if (take(&text, "ksmrun-plan 1") == NULL)
        return NULL;
    if ((found = take(&text, "boot ")) == NULL || strcmp(found, boot) != 0)
        return NULL;
    if ((found = take(&text, "seccomp ")) == NULL || strcmp(found, filters) != 0)
        return NULL;
    if ((names = take(&text, "python ")) == NULL || is_listed(names, program))
        return NULL;
    if ((found = take(&text, "launcher ")) == NULL || (launcher = unchanged(found)) == NULL)
        return NULL;
    while ((row = take(&text, "file ")) != NULL)
        if (unchanged(row) == NULL)
            return NULL;
    return (found = take(&text, "end")) != NULL && *found == '\0' && *text == '\0' ? launcher
                                                                                   : NULL;
}

static void exec_launcher(const char *launcher, const bool given[OPTIONS_MAX], char **command) {
    static const char *const options[OPTIONS_MAX] = {"--require", "--quiet", "--verify"};
    size_t words = 0, count = 0;
    while (command[words] != NULL)
        words++;
    char **arguments = calloc(words + OPTIONS_MAX + 4, sizeof *arguments);
    if (arguments == NULL)
        return;
    arguments[count++] = (char *)launcher;
    arguments[count++] = (char *)"--merge=on";
    for (int i = 0; i < OPTIONS_MAX; i++)
        if (given[i])
            arguments[count++] = (char *)options[i];
    arguments[count++] = (char *)"--";
    memcpy(arguments + count, command, words * sizeof *arguments);
    /* If it fails, Python tries, and says why. */
    execv(launcher, arguments);
    free(arguments);
}

void plan_cache_start(char **words) {
    bool given[OPTIONS_MAX] = {false};
    char **command = command_of(words, given);
    if (command == NULL || has_own_variable())
        return;
    char folder[PATH_MAX], boot[BOOT_ID_BYTES], filters[40], name[128], text[CACHE_BYTES];
    struct stat front;
    if (procfile_read("/proc/sys/kernel/random/boot_id", boot, sizeof boot) <= 0 ||
        !read_filters(filters, sizeof filters) || stat("/proc/self/exe", &front) != 0 ||
        !cache_folder(folder, sizeof folder))
        return;
    trim(boot);
    /* Two installations have two fronts. */
    snprintf(name, sizeof name, "plan-%s-%s-%llx-%llx", boot, filters,
             (unsigned long long)front.st_dev, (unsigned long long)front.st_ino);
    if (!read_file(folder, name, text))
        return;
    const char *launcher = launcher_of(text, boot, filters, *command);
    if (launcher != NULL)
        exec_launcher(launcher, given, command);
}
