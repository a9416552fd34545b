#include "tracee.h"

#include <elf.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../common/procfile.h"
#include "../inject/i386.h"
#include "resolve.h"

/* include/uapi/linux/audit.h: AUDIT_ARCH_X86_64, AUDIT_ARCH_AARCH64, AUDIT_ARCH_I386; ptrace.h:
 * PTRACE_SYSCALL_INFO_ENTRY; arch/x86/include/uapi/asm/unistd.h: __X32_SYSCALL_BIT. */
enum { AUDIT_64BIT_LITTLE_ENDIAN = (int)0xC0000000, AUDIT_LITTLE_ENDIAN = 0x40000000 };
enum { INFO_ENTRY = 1, X32_BIT = 0x40000000, I386 = AUDIT_LITTLE_ENDIAN | EM_386 };
#if defined(__x86_64__)
enum { NATIVE = AUDIT_64BIT_LITTLE_ENDIAN | EM_X86_64 };
#else
enum { NATIVE = AUDIT_64BIT_LITTLE_ENDIAN | EM_AARCH64 };
#endif

bool tracee_call(pid_t pid, struct tracee_call *call) {
    struct __ptrace_syscall_info info;
    if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info) <= 0 || info.op != INFO_ENTRY)
        return false;
    bool is_i386 = info.arch == I386;
    call->is_known = is_i386 || (info.arch == (uint32_t)NATIVE && (info.entry.nr & X32_BIT) == 0);
    call->number = is_i386 ? (uint64_t)i386_native_exec(info.entry.nr) : info.entry.nr;
    memcpy(call->arguments, info.entry.args, sizeof call->arguments);
    return true;
}

bool tracee_personality(pid_t pid, unsigned long *personality) {
    char path[32], text[32];
    snprintf(path, sizeof path, "/proc/%d/personality", pid);
    bool is_read = procfile_read(path, text, sizeof text) > 0;
    *personality = is_read ? strtoul(text, NULL, 16) : 0;
    return is_read;
}

bool tracee_link(pid_t pid, const char *name, char *text, size_t text_bytes) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    ssize_t length = readlink(path, text, text_bytes - 1);
    text[length < 0 ? 0 : length] = '\0';
    return length > 0;
}

bool tracee_applet(pid_t pid, char name[TRACEE_APPLET_BYTES]) {
    char path[32], words[256];
    snprintf(path, sizeof path, "/proc/%d/cmdline", pid);
    ssize_t length = procfile_read(path, words, sizeof words);
    if (length <= 0)
        return false;
    const char *slash = strrchr(words, '/'), *word = slash == NULL ? words : slash + 1;
    size_t next = strlen(words) + 1;
    if (strcmp(word, "busybox") == 0 && next < (size_t)length)
        word = words + next;
    snprintf(name, TRACEE_APPLET_BYTES, "%.*s", TRACEE_APPLET_BYTES - 1, word);
    return true;
}

/* The count exists since c818c03b661c (5.9). */
unsigned long tracee_filters(pid_t pid) {
    char path[32], value[32];
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    if (procfile_row(path, "Seccomp_filters", value, sizeof value))
        return strtoul(value, NULL, 10);
    return procfile_row(path, "Seccomp", value, sizeof value) && strtoul(value, NULL, 10) != 0;
}

bool tracee_limit(pid_t pid, const char *name, uint64_t *soft_bytes) {
    char path[32], text[2048], *end;
    snprintf(path, sizeof path, "/proc/%d/limits", pid);
    const char *row = procfile_read(path, text, sizeof text) < 0 ? NULL : strstr(text, name);
    if (row == NULL)
        return false;
    row += strlen(name);
    *soft_bytes = strtoull(row, &end, 10);
    if (end == row)
        *soft_bytes = RLIM_INFINITY;
    return true;
}

/* Same mounts, and the same root in them. */
static bool names_files_as_we_do(pid_t pid) {
    char path[32], own[64], its[64];
    struct stat own_root, its_root;
    snprintf(path, sizeof path, "/proc/%d/root", pid);
    return tracee_link(pid, "ns/mnt", its, sizeof its) &&
           tracee_link(getpid(), "ns/mnt", own, sizeof own) && strcmp(own, its) == 0 &&
           stat("/", &own_root) == 0 && stat(path, &its_root) == 0 &&
           own_root.st_dev == its_root.st_dev && own_root.st_ino == its_root.st_ino;
}

static bool read_text(pid_t pid, uint64_t address, char *text, size_t text_bytes) {
    char path[32];
    snprintf(path, sizeof path, "/proc/%d/mem", pid);
    int memory = open(path, O_RDONLY | O_CLOEXEC);
    if (memory < 0)
        return false;
    /* Shorter at the end of the memory. */
    ssize_t length = pread(memory, text, text_bytes, (off_t)address);
    close(memory);
    return length > 0 && memchr(text, '\0', (size_t)length) != NULL;
}

bool tracee_exec_path(pid_t pid, const struct tracee_call *call, char *path, size_t path_bytes) {
    char name[4096];
    bool is_at = call->number == SYS_execveat;
    int folder = is_at ? (int)call->arguments[0] : AT_FDCWD;
    if (!names_files_as_we_do(pid) ||
        !read_text(pid, call->arguments[is_at ? 1 : 0], name, sizeof name))
        return false;
    char from[64];
    snprintf(from, sizeof from, folder == AT_FDCWD ? "/proc/%d/cwd" : "/proc/%d/fd/%d", pid,
             folder);
    return resolve_for(pid, from, name, path, path_bytes);
}

void tracee_borrow_stderr(pid_t pid) {
    int process = (int)syscall(SYS_pidfd_open, pid, 0);
    int its = process < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, process, STDERR_FILENO, 0);
    struct pollfd room = {.fd = its, .events = POLLOUT};
    /* Not if it is full: everything that is followed would wait with us for its reader. */
    if (its >= 0 && poll(&room, 1, 0) == 1 && (room.revents & POLLOUT) != 0)
        dup2(its, STDERR_FILENO);
    if (its >= 0)
        close(its);
    if (process >= 0)
        close(process);
}

void tracee_return_stderr(void) {
    /* Not waiting, where somebody has made a FIFO of it. */
    int nothing = open("/dev/null", O_WRONLY | O_CLOEXEC | O_NONBLOCK);
    if (nothing >= 0 && nothing != STDERR_FILENO) {
        dup2(nothing, STDERR_FILENO);
        close(nothing);
    } else if (nothing < 0) {
        close(STDERR_FILENO);
    }
}
