/* Preloaded into a dynamically linked launcher: kills at a certain moment of the launch, before the
 * call of libc with a given number. KILL_WHO: launcher or helper, which kill themselves; or target,
 * which the helper kills. KILL_AT: the number, from 1 on. KILL_AFTER_MS: time since the previous
 * call, in which the others continue. KILL_COUNT: a file that gets the number of calls if nothing
 * was killed. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static long calls;
static bool is_helper;
static pid_t target;

static long number(const char *name) {
    const char *text = getenv(name);
    return text == NULL ? 0 : atol(text);
}

static bool is_counted(void) {
    const char *who = getenv("KILL_WHO");
    return who != NULL && (strcmp(who, "launcher") != 0) == is_helper;
}

static void before_call(void) {
    if (!is_counted() || ++calls != number("KILL_AT"))
        return;
    struct timespec time = {0, number("KILL_AFTER_MS") * 1000000};
    nanosleep(&time, NULL);
    bool is_own_end = strcmp(getenv("KILL_WHO"), "target") != 0;
    if (is_own_end || target != 0)
        kill(is_own_end ? getpid() : target, SIGKILL);
}

#define NEXT(name) ((typeof(&name))dlsym(RTLD_NEXT, #name))
#define WRAP(type, name, parameters, arguments)                                                    \
    type name parameters {                                                                         \
        before_call();                                                                             \
        return NEXT(name) arguments;                                                               \
    }

WRAP(pid_t, waitpid, (pid_t pid, int *status, int options), (pid, status, options))
WRAP(ssize_t, pread, (int file, void *to, size_t size, off_t at), (file, to, size, at))
WRAP(ssize_t, pwrite, (int file, const void *from, size_t size, off_t at), (file, from, size, at))
WRAP(ssize_t, read, (int file, void *to, size_t size), (file, to, size))
WRAP(int, close, (int file), (file))
WRAP(int, pipe2, (int ends[2], int flags), (ends, flags))
WRAP(int, personality, (unsigned long value), (value))
WRAP(int, fstat, (int file, struct stat *status), (file, status))
WRAP(FILE *, fopen, (const char *path, const char *mode), (path, mode))
WRAP(int, fclose, (FILE * file), (file))
WRAP(char *, fgets, (char *to, int size, FILE *file), (to, size, file))
WRAP(int, getrlimit, (__rlimit_resource_t what, struct rlimit *limit), (what, limit))
WRAP(int, setrlimit, (__rlimit_resource_t what, const struct rlimit *limit), (what, limit))
WRAP(int, prlimit,
     (pid_t pid, enum __rlimit_resource what, const struct rlimit *to, struct rlimit *from),
     (pid, what, to, from))

/* The launcher's write comes after the end of a helper that was killed before it. */
ssize_t write(int file, const void *from, size_t size) {
    struct timespec time = {0, 1000000};
    if (!is_helper && !is_counted())
        nanosleep(&time, NULL);
    before_call();
    return NEXT(write)(file, from, size);
}

int open(const char *path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    int mode = (flags & O_CREAT) != 0 ? va_arg(arguments, int) : 0;
    va_end(arguments);
    before_call();
    return NEXT(open)(path, flags, mode);
}

int prctl(int option, ...) {
    unsigned long words[4];
    va_list arguments;
    va_start(arguments, option);
    for (int i = 0; i < 4; i++)
        words[i] = va_arg(arguments, unsigned long);
    va_end(arguments);
    before_call();
    return (int)syscall(SYS_prctl, option, words[0], words[1], words[2], words[3]);
}

long ptrace(enum __ptrace_request request, ...) {
    va_list arguments;
    va_start(arguments, request);
    pid_t pid = va_arg(arguments, pid_t);
    void *address = va_arg(arguments, void *), *data = va_arg(arguments, void *);
    va_end(arguments);
    target = pid;
    before_call();
    return NEXT(ptrace)(request, pid, address, data);
}

/* In a launch, only the helper creates a session. */
pid_t setsid(void) {
    is_helper = true;
    before_call();
    return NEXT(setsid)();
}

static void write_count(void) {
    const char *path = getenv("KILL_COUNT");
    int file = path == NULL || !is_counted() ? -1 : NEXT(open)(path, O_WRONLY | O_CREAT, 0644);
    char text[32];
    if (file >= 0 && NEXT(write)(file, text, (size_t)snprintf(text, sizeof text, "%ld", calls)) < 0)
        abort();
}

int execve(const char *path, char *const argv[], char *const envp[]) {
    before_call();
    if (is_counted())
        write_count();
    return NEXT(execve)(path, argv, envp);
}

void _exit(int code) {
    before_call();
    if (is_helper)
        write_count();
    syscall(SYS_exit_group, code);
    __builtin_unreachable();
}
