#include "wrapper.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arguments.h"
#include "names.h"
#include "tracee.h"

/* A wrapper in Go has three MiB. */
static const off_t STATIC_BYTES_MAX = 8 << 20;

/* Their programs are scripts, and the file that asks may be a library of theirs. */
static bool is_interpreter(const char *path) {
    static const char *const names[] = {"python", "perl", "ruby"};
    const char *name = strrchr(path, '/');
    for (size_t i = 0; name != NULL && i < sizeof names / sizeof *names; i++)
        if (strncmp(name + 1, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

bool wrapper_is_named(pid_t pid, const char *path) {
    static const char *const names[] = {
        "sh",           "bash",           "dash",
        "ash",          "busybox",        "ksh",
        "ksh93",        "mksh",           "zsh",
        "env",          "nice",           "ionice",
        "nohup",        "chrt",           "taskset",
        "setsid",       "stdbuf",         "timeout",
        "prlimit",      "time",           "numactl",
        "tini",         "dumb-init",      "catatonit",
        "setarch",      "setpriv",        "start-stop-daemon",
        "tini-static",  "docker-init",    "podman-init",
        "gosu",         "su-exec",        "runuser",
        "chroot",       "flock",          "unshare",
        "nsenter",      "xargs",          "script",
        "sg",           "capsh",          "choom",
        "setuidgid",    "envuidgid",      "envdir",
        "softlimit",    "setlock",        "pgrphack",
        "chpst",        "execlineb",      "bwrap",
        "s6-setuidgid", "s6-softlimit",   "s6-envdir",
        "s6-setlock",   "s6-applyuidgid", "s6-envuidgid",
        "runsvdir",     "runsv",          "s6-svscan",
        "s6-supervise", "svscan",         "supervise",
    };
    const char *name = strrchr(path, '/');
    char applet[1 + TRACEE_APPLET_BYTES] = "/";
    if (name != NULL && strcmp(name, "/busybox") == 0 && tracee_applet(pid, applet + 1))
        name = applet;
    for (size_t i = 0; name != NULL && i < sizeof names / sizeof *names; i++)
        if (strcmp(name + 1, names[i]) == 0)
            return true;
    return is_interpreter(path) && arguments_script_is(pid, "supervisord");
}

static bool is_name_of_exec(const char *name) {
    return (strncmp(name, "exec", 4) == 0 && (name[4] == 'v' || name[4] == 'l')) ||
           strcmp(name, "fexecve") == 0 || strncmp(name, "posix_spawn", 11) == 0;
}

/* A debugger's children cannot have two tracers (ptrace(2): EPERM), so it never gets a trial. */
static bool names_exec(const char *strings, size_t bytes) {
    bool is_found = false;
    for (size_t at = 0; at < bytes; at += strlen(strings + at) + 1) {
        if (strcmp(strings + at, "ptrace") == 0)
            return false;
        is_found |= is_name_of_exec(strings + at);
    }
    return is_found;
}

/* Instructions by which the C libraries call execve(2), and what a program of Go's contains, whose
 * runtime has that call (debug/buildinfo: buildInfoMagic). */
static const struct {
    size_t length;
    const char *bytes;
} signs_of_exec[] = {
#if defined(__x86_64__)
    {7, "\xb8\x3b\0\0\0\x0f\x05"},                /* mov $59, %eax; syscall */
    {7, "\xb8\x0b\0\0\0\xcd\x80"},                /* mov $11, %eax; int $0x80 */
    {12, "\xb8\x0b\0\0\0\x65\xff\x15\x10\0\0\0"}, /* mov $11, %eax; call *%gs:16 */
#else
    {8, "\xa8\x1b\x80\xd2\x01\0\0\xd4"}, /* mov x8, #221; svc #0 */
#endif
    {14, "\xff Go buildinf:"},
};

static bool has_sign_of_exec(const unsigned char *text, size_t length) {
    for (size_t i = 0; i < sizeof signs_of_exec / sizeof *signs_of_exec; i++)
        if (memmem(text, length, signs_of_exec[i].bytes, signs_of_exec[i].length) != NULL)
            return true;
    return false;
}

/* A static program has no names. */
static bool static_may_exec(int file, off_t size) {
    enum { OVERLAP = 16 };
    static unsigned char text[(64 << 10) + OVERLAP];
    if (size > STATIC_BYTES_MAX)
        return false;
    for (off_t at = 0; at < size; at += (off_t)sizeof text - OVERLAP) {
        ssize_t length = pread(file, text, sizeof text, at);
        if (length <= 0)
            return false;
        if (has_sign_of_exec(text, (size_t)length))
            return true;
    }
    return false;
}

/* An unreadable file counts as possible. */
static bool file_may_exec(int file) {
    struct stat status;
    struct names names = names_read(file);
    bool may_exec = names.state == NAMES_UNREADABLE;
    if (names.state == NAMES_STATIC)
        may_exec = fstat(file, &status) == 0 && static_may_exec(file, status.st_size);
    else if (names.state == NAMES_READ)
        may_exec = names_exec(names.strings, names.bytes);
    free(names.strings);
    return may_exec;
}

bool wrapper_is_possible(const char *name, const char *file) {
    if (is_interpreter(name))
        return true;
    int opened = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    bool is_possible = opened >= 0 && file_may_exec(opened);
    if (opened >= 0)
        close(opened);
    return is_possible;
}

bool wrapper_names_program(pid_t pid, const char *path) {
    return arguments_name_program(pid, is_interpreter(path));
}
