#include "arguments.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/procfile.h"
#include "../common/search.h"

enum { WORDS_BYTES = 16 << 10 };

struct words {
    char text[WORDS_BYTES];
    size_t length, at;
};

static bool words_open(struct words *words, pid_t pid) {
    char path[32];
    snprintf(path, sizeof path, "/proc/%d/cmdline", pid);
    ssize_t length = procfile_read(path, words->text, sizeof words->text);
    words->length = length < 0 ? 0 : (size_t)length;
    words->at = 0;
    return length > 0;
}

/* The next word that is no option, or NULL. */
static const char *words_next(struct words *words) {
    while (words->at < words->length) {
        const char *word = words->text + words->at;
        words->at += strlen(word) + 1;
        if (word[0] != '-' && word[0] != '\0')
            return word;
    }
    return NULL;
}

static bool is_program(const char *path) {
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode) && access(path, X_OK) == 0;
}

static bool is_program_of(pid_t pid, const char *word) {
    char path[PATH_MAX + 64];
    if (word[0] == '/')
        return is_program(word);
    if (strchr(word, '/') != NULL) {
        snprintf(path, sizeof path, "/proc/%d/cwd/%s", pid, word);
        return is_program(path);
    }
    for (int index = 0; search_candidate(word, index, path, sizeof path); index++)
        if (is_program(path))
            return true;
    return false;
}

bool arguments_name_program(pid_t pid, bool has_script) {
    static struct words words;
    bool is_found = false;
    if (!words_open(&words, pid) || words_next(&words) == NULL)
        return false;
    if (has_script)
        (void)words_next(&words);
    for (const char *word; !is_found && (word = words_next(&words)) != NULL;)
        is_found = is_program_of(pid, word);
    return is_found;
}

bool arguments_script_is(pid_t pid, const char *name) {
    static struct words words;
    if (!words_open(&words, pid) || words_next(&words) == NULL)
        return false;
    const char *script = words_next(&words);
    const char *slash = script == NULL ? NULL : strrchr(script, '/');
    return script != NULL && strcmp(slash == NULL ? script : slash + 1, name) == 0;
}
