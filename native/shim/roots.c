#include "roots.h"

#if __SIZEOF_POINTER__ == 8

#include <stdbool.h>
#include <stddef.h>

#include "loaded.h"
#include "next.h"
#include "settings.h"
#include "syscalls.h"

#define EXPORTED __attribute__((visibility("default")))

enum { ERROR_NOSYS = 38, COPY_BYTES_MAX = 8192 };

typedef char *const vector[];
typedef int root_function(const char *, const char *);
typedef int exec_function(const char *, vector, vector);

extern char **environ __attribute__((weak));
extern int *__errno_location(void) __attribute__((weak));

static struct {
    const char *own_path; /* NULL: not known */
    _Atomic bool is_other;
    root_function *chroot, *pivot_root;
    exec_function *execve, *execvpe;
} roots;

static int note_own_path(struct loaded_object *loaded, size_t size, void *unused) {
    (void)size;
    (void)unused;
    if (loaded_is_shim(loaded))
        roots.own_path = loaded->name;
    return roots.own_path != NULL;
}

void roots_begin(void) {
    if (dl_iterate_phdr != NULL)
        dl_iterate_phdr(note_own_path, NULL);
    roots.chroot = (root_function *)next_function("chroot");
    roots.pivot_root = (root_function *)next_function("pivot_root");
    roots.execve = (exec_function *)next_function("execve");
    roots.execvpe = (exec_function *)next_function("execvpe");
}

void roots_note(void) {
    roots.is_other = true;
}

static int fail(void) {
    if (__errno_location != NULL)
        *__errno_location() = ERROR_NOSYS;
    return -1;
}

static bool is_here(const char *path) {
    long file = open_readonly(path);
    if (!is_error(file))
        SYSTEM_CALL(NUMBER_CLOSE, file);
    return !is_error(file);
}

static size_t bytes_of(const char *text) {
    size_t bytes = 1;
    while (*text++ != '\0')
        bytes++;
    return bytes;
}

/* Removes the shim from a copy of the environment, and executes with that. The copy is on the
 * stack: a child of vfork(2) shares all other memory with its parent, which would keep it after the
 * exec. */
static int execute_without_shim(exec_function *next, const char *file, vector words,
                                vector environment, size_t count, size_t text_bytes) {
    char **entries = __builtin_alloca((count + 1) * sizeof *entries + text_bytes);
    char *text = (char *)(entries + count + 1);
    for (size_t i = 0; i < count; i++) {
        entries[i] = environment[i];
        if (!settings_is_preload(environment[i]))
            continue;
        size_t length = bytes_of(environment[i]);
        entries[i] = text;
        for (size_t byte = 0; byte < length; byte++)
            *text++ = environment[i][byte];
    }
    entries[count] = NULL;
    settings_forget_shim(entries);
    return next(file, words, entries);
}

/* Another library's constructor may call before the shim's own has run. */
static int execute(exec_function *const *next, const char *file, vector words, vector environment) {
    if (*next == NULL)
        roots_begin();
    if (*next == NULL)
        return fail();
    if (!roots.is_other || roots.own_path == NULL || environment == NULL || is_here(roots.own_path))
        return (*next)(file, words, environment);
    size_t count = 0, text_bytes = 0;
    for (; environment[count] != NULL; count++)
        if (settings_is_preload(environment[count]))
            text_bytes += bytes_of(environment[count]);
    /* A thread's stack may have little room. Without a copy, ld.so says its line. */
    if (count * sizeof *environment + text_bytes > COPY_BYTES_MAX)
        return (*next)(file, words, environment);
    return execute_without_shim(*next, file, words, environment, count, text_bytes);
}

static int change(root_function *const *next, const char *path, const char *other) {
    if (*next == NULL)
        roots_begin();
    int result = *next == NULL ? fail() : (*next)(path, other);
    if (result == 0)
        roots_note();
    return result;
}

EXPORTED int chroot(const char *path) {
    return change(&roots.chroot, path, NULL);
}

EXPORTED int pivot_root(const char *path, const char *old) {
    return change(&roots.pivot_root, path, old);
}

EXPORTED int execve(const char *path, vector words, vector environment) {
    return execute(&roots.execve, path, words, environment);
}

EXPORTED int execv(const char *path, vector words) {
    return execute(&roots.execve, path, words, environ);
}

EXPORTED int execvpe(const char *file, vector words, vector environment) {
    return execute(&roots.execvpe, file, words, environment);
}

EXPORTED int execvp(const char *file, vector words) {
    return execute(&roots.execvpe, file, words, environ);
}

#else

/* 32-bit programs may have no way to find the next one. */
void roots_begin(void) {
}

void roots_note(void) {
}

#endif
