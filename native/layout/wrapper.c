#include "wrapper.h"

#include <elf.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tracee.h"

enum { PHDRS_MAX = 64, DYNAMICS_MAX = 256, STRINGS_BYTES_MAX = 4 << 20 };
/* A wrapper in Go has three MiB. */
static const off_t STATIC_BYTES_MAX = 8 << 20;

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
    };
    const char *name = strrchr(path, '/');
    char applet[1 + TRACEE_APPLET_BYTES] = "/";
    if (name != NULL && strcmp(name, "/busybox") == 0 && tracee_applet(pid, applet + 1))
        name = applet;
    for (size_t i = 0; name != NULL && i < sizeof names / sizeof *names; i++)
        if (strcmp(name + 1, names[i]) == 0)
            return true;
    return false;
}

/* Their programs are scripts, and the importing file may be a library of theirs. */
static bool is_interpreter(const char *path) {
    static const char *const names[] = {"python", "perl", "ruby"};
    const char *name = strrchr(path, '/');
    for (size_t i = 0; name != NULL && i < sizeof names / sizeof *names; i++)
        if (strncmp(name + 1, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

static bool read_at(int file, void *to, size_t bytes, uint64_t offset) {
    return pread(file, to, bytes, (off_t)offset) == (ssize_t)bytes;
}

/* Offset in the file of an address in a segment; 0: none. */
static uint64_t offset_of(const Elf64_Phdr *parts, int count, uint64_t address) {
    for (int i = 0; i < count; i++)
        if (parts[i].p_type == PT_LOAD && address >= parts[i].p_vaddr &&
            address - parts[i].p_vaddr < parts[i].p_filesz)
            return address - parts[i].p_vaddr + parts[i].p_offset;
    return 0;
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

/* elf(5): the names of dynamic symbols are in DT_STRTAB. An unreadable file counts as possible. */
static bool strings_name_exec(int file, const Elf64_Phdr *parts, int count,
                              const Elf64_Phdr *dynamic) {
    Elf64_Dyn entries[DYNAMICS_MAX];
    uint64_t at = 0, bytes = 0;
    size_t wanted = dynamic->p_filesz < sizeof entries ? dynamic->p_filesz : sizeof entries;
    if (!read_at(file, entries, wanted, dynamic->p_offset))
        return true;
    for (size_t i = 0; i < wanted / sizeof *entries && entries[i].d_tag != DT_NULL; i++) {
        if (entries[i].d_tag == DT_STRTAB)
            at = offset_of(parts, count, entries[i].d_un.d_ptr);
        if (entries[i].d_tag == DT_STRSZ)
            bytes = entries[i].d_un.d_val;
    }
    if (at == 0 || bytes == 0 || bytes > STRINGS_BYTES_MAX)
        return true;
    char *strings = malloc(bytes + 1);
    if (strings == NULL)
        return true;
    bool is_read = read_at(file, strings, bytes, at);
    strings[bytes] = '\0';
    bool names = !is_read || names_exec(strings, bytes);
    free(strings);
    return names;
}

static bool has_bytes(const unsigned char *text, size_t length, const char *bytes, size_t wanted) {
    return memmem(text, length, bytes, wanted) != NULL;
}

/* A static program has no names: it can execute others if it contains the call of execve(2) as the
 * C libraries make it, or if it is one of Go's, whose runtime has that (debug/buildinfo:
 * buildInfoMagic). */
static bool static_may_exec(int file, off_t size) {
#if defined(__x86_64__)
    static const char call[] = "\xb8\x3b\0\0\0\x0f\x05"; /* mov $59, %eax; syscall */
#else
    static const char call[] = "\xa8\x1b\x80\xd2\x01\0\0\xd4"; /* mov x8, #221; svc #0 */
#endif
    static const char go[] = "\xff Go buildinf:";
    enum { OVERLAP = 16 };
    static unsigned char text[(64 << 10) + OVERLAP];
    if (size > STATIC_BYTES_MAX)
        return false;
    for (off_t at = 0; at < size; at += (off_t)sizeof text - OVERLAP) {
        ssize_t length = pread(file, text, sizeof text, at);
        if (length <= 0)
            return false;
        if (has_bytes(text, (size_t)length, call, sizeof call - 1) ||
            has_bytes(text, (size_t)length, go, sizeof go - 1))
            return true;
    }
    return false;
}

static bool file_may_exec(int file) {
    Elf64_Ehdr header;
    Elf64_Phdr parts[PHDRS_MAX];
    const Elf64_Phdr *dynamic = NULL;
    struct stat status;
    bool has_loader = false;
    if (fstat(file, &status) != 0 || !read_at(file, &header, sizeof header, 0) ||
        header.e_phnum > PHDRS_MAX ||
        !read_at(file, parts, header.e_phnum * sizeof *parts, header.e_phoff))
        return false;
    for (int i = 0; i < header.e_phnum; i++) {
        has_loader |= parts[i].p_type == PT_INTERP;
        if (parts[i].p_type == PT_DYNAMIC)
            dynamic = &parts[i];
    }
    if (!has_loader || dynamic == NULL)
        return static_may_exec(file, status.st_size);
    return strings_name_exec(file, parts, header.e_phnum, dynamic);
}

bool wrapper_is_possible(pid_t pid, const char *path) {
    char link[32];
    if (is_interpreter(path))
        return true;
    snprintf(link, sizeof link, "/proc/%d/exe", pid);
    /* A path below /proc is what a loader is to load (loader.h). */
    bool is_loaded = strncmp(path, "/proc/", 6) == 0;
    int file = open(is_loaded ? path : link, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    bool is_possible = file >= 0 && file_may_exec(file);
    if (file >= 0)
        close(file);
    return is_possible;
}
