#include "roots.h"

#if __SIZEOF_POINTER__ == 8

#include <stdbool.h>
#include <stddef.h>

#include "loaded.h"
#include "next.h"
#include "settings.h"
#include "syscalls.h"

#define EXPORTED __attribute__((visibility("default")))

enum { ERROR_NOSYS = 38, READ_AND_WRITE = 3, PRIVATE_AND_ANONYMOUS = 0x22 };

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

struct copy {
    char **entries; /* NULL: none */
    long bytes;
};

/* In memory of its own, as a child of vfork(2) shares all other. */
static struct copy copy_of(vector environment) {
    size_t count = 0, bytes = sizeof *environment;
    for (; environment[count] != NULL; count++)
        bytes += sizeof *environment + bytes_of(environment[count]);
    long mapping[6] = {0, (long)bytes, READ_AND_WRITE, PRIVATE_AND_ANONYMOUS, -1, 0};
    long at = map_memory(mapping);
    if (is_error(at))
        return (struct copy){NULL, 0};
    char **entries = (char **)at, *text = (char *)(entries + count + 1);
    for (size_t i = 0; i < count; i++) {
        size_t length = bytes_of(environment[i]);
        entries[i] = text;
        for (size_t byte = 0; byte < length; byte++)
            *text++ = environment[i][byte];
    }
    return (struct copy){entries, (long)bytes};
}

/* Another library's constructor may call before the shim's own has run. */
static int execute(exec_function *const *next, const char *file, vector words, vector environment) {
    struct copy copy = {NULL, 0};
    if (*next == NULL)
        roots_begin();
    if (*next == NULL)
        return fail();
    if (roots.is_other && roots.own_path != NULL && environment != NULL && !is_here(roots.own_path))
        copy = copy_of(environment);
    if (copy.entries == NULL)
        return (*next)(file, words, environment);
    settings_forget_shim(copy.entries);
    int result = (*next)(file, words, copy.entries);
    SYSTEM_CALL(NUMBER_MUNMAP, (long)copy.entries, copy.bytes);
    return result;
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
