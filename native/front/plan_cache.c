#include "plan_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/procfile.h"
#include "../common/search.h"

enum { CACHE_BYTES = 16384, BOOT_ID_BYTES = 40, SWITCHES = 3, OPTIONS_MAX = 16, FEW_WORDS = 64 };

static const char *const switches[SWITCHES] = {"--require", "--quiet", "--verify"};

extern char **environ;

/* What the command line asks for. */
struct launch {
    bool given[SWITCHES];
    bool is_layout_shared;
    char **command;
};

/* What Python has planned for it. */
struct plan {
    char *launcher;
    char *options[OPTIONS_MAX];
    size_t count;
};

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

/* Returns false for words that Python has to read: others than these may stand before the command.
 */
static bool read_words(char **words, struct launch *launch) {
    if (*words == NULL || strcmp(*words++, "run") != 0)
        return false;
    for (; *words != NULL && **words == '-'; words++) {
        int option = 0;
        while (option < SWITCHES && strcmp(*words, switches[option]) != 0)
            option++;
        if (option < SWITCHES) {
            launch->given[option] = true;
        } else if (strcmp(*words, "--layout=shared") == 0) {
            launch->is_layout_shared = true;
        } else if (strcmp(*words, "--layout") == 0 && words[1] != NULL &&
                   strcmp(words[1], "shared") == 0) {
            launch->is_layout_shared = true;
            words++;
        } else if (strcmp(*words, "--") == 0) {
            words++;
            break;
        } else {
            return false;
        }
    }
    launch->command = words;
    return *words != NULL && **words != '\0';
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
static char *unchanged(char *row) {
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
    char status[CACHE_BYTES], *mode, *count;
    if (procfile_read("/proc/self/status", status, sizeof status) <= 0 ||
        (mode = strstr(status, "\nSeccomp:")) == NULL)
        return false;
    mode += sizeof "\nSeccomp:" - 1;
    count = strstr(mode, "\nSeccomp_filters:");
    count = count == NULL ? (char *)"x" : count + sizeof "\nSeccomp_filters:" - 1;
    mode[strcspn(mode, "\n")] = '\0';
    count[strcspn(count, "\n")] = '\0';
    int length = snprintf(filters, size, "%s-%s", mode, count);
    trim(filters);
    return length < (int)size;
}

/* The file that execvp(3) executes; Python looks for it in the same way (ksmrun/facts/target.py:
 * find). */
static bool find_program(const char *command, struct stat *status) {
    char path[PATH_MAX];
    for (int i = 0; search_candidate(command, i, path, sizeof path); i++)
        if (access(path, X_OK) == 0 && stat(path, status) == 0 && S_ISREG(status->st_mode))
            return true;
    return false;
}

/* As Python writes it. Unlike its content, the file's mode and capabilities change its ctime only.
 */
static bool is_program(const char *row, const struct stat *status) {
    char now[160];
    snprintf(now, sizeof now, "%llu %llu %llu %lld %ld %lld %ld",
             (unsigned long long)status->st_dev, (unsigned long long)status->st_ino,
             (unsigned long long)status->st_size, (long long)status->st_mtim.tv_sec,
             status->st_mtim.tv_nsec, (long long)status->st_ctim.tv_sec, status->st_ctim.tv_nsec);
    return strcmp(row, now) == 0;
}

static bool is_absent(const char *path) {
    struct stat status;
    return lstat(path, &status) != 0 && errno == ENOENT;
}

/* Whether the file holds for this boot, process and front, and for this program. program: NULL
 * where the plan is the same for all. */
static bool read_plan(char *text, const char *boot, const char *filters, const char *command,
                      const struct stat *program, struct plan *plan) {
    char *found;
    if (take(&text, "ksmrun-plan 2") == NULL)
        return false;
    if ((found = take(&text, "boot ")) == NULL || strcmp(found, boot) != 0)
        return false;
    if ((found = take(&text, "seccomp ")) == NULL || strcmp(found, filters) != 0)
        return false;
    if ((found = take(&text, "python ")) == NULL || is_listed(found, command))
        return false;
    if (program != NULL &&
        ((found = take(&text, "program ")) == NULL || !is_program(found, program)))
        return false;
    if ((found = take(&text, "launcher ")) == NULL || (plan->launcher = unchanged(found)) == NULL)
        return false;
    for (; plan->count < OPTIONS_MAX && (found = take(&text, "option ")) != NULL; plan->count++)
        plan->options[plan->count] = found;
    while ((found = take(&text, "file ")) != NULL)
        if (unchanged(found) == NULL)
            return false;
    while ((found = take(&text, "none ")) != NULL)
        if (!is_absent(found))
            return false;
    return (found = take(&text, "end")) != NULL && *found == '\0' && *text == '\0';
}

static void exec_launcher(const struct plan *plan, const struct launch *launch) {
    char *few[FEW_WORDS + OPTIONS_MAX + SWITCHES + 3], **arguments = few;
    size_t words = 0, count = 0;
    while (launch->command[words] != NULL)
        words++;
    if (words > FEW_WORDS)
        arguments = calloc(words + OPTIONS_MAX + SWITCHES + 3, sizeof *arguments);
    if (arguments == NULL)
        return;
    arguments[count++] = plan->launcher;
    for (size_t i = 0; i < plan->count; i++)
        arguments[count++] = (char *)plan->options[i];
    for (int i = 0; i < SWITCHES; i++)
        if (launch->given[i])
            arguments[count++] = (char *)switches[i];
    arguments[count++] = (char *)"--";
    memcpy(arguments + count, launch->command, (words + 1) * sizeof *arguments);
    /* If it fails, Python tries, and says why. */
    execv(plan->launcher, arguments);
    if (arguments != few)
        free(arguments);
}

void plan_cache_start(char **words) {
    struct launch launch = {.is_layout_shared = false};
    if (!read_words(words, &launch) || has_own_variable())
        return;
    char folder[PATH_MAX], boot[BOOT_ID_BYTES], filters[40], name[192], text[CACHE_BYTES];
    struct stat front, program;
    if (procfile_read("/proc/sys/kernel/random/boot_id", boot, sizeof boot) <= 0 ||
        !read_filters(filters, sizeof filters) || stat("/proc/self/exe", &front) != 0 ||
        !cache_folder(folder, sizeof folder) ||
        (launch.is_layout_shared && !find_program(*launch.command, &program)))
        return;
    trim(boot);
    /* Two installations have two fronts. */
    int length = snprintf(name, sizeof name, "plan-%s-%s-%llx-%llx", boot, filters,
                          (unsigned long long)front.st_dev, (unsigned long long)front.st_ino);
    if (launch.is_layout_shared)
        snprintf(name + length, sizeof name - (size_t)length, "-%llx-%llx",
                 (unsigned long long)program.st_dev, (unsigned long long)program.st_ino);
    if (!read_file(folder, name, text))
        return;
    struct plan plan = {.count = 0};
    if (read_plan(text, boot, filters, *launch.command, launch.is_layout_shared ? &program : NULL,
                  &plan))
        exec_launcher(&plan, &launch);
}
