#include "search.h"

#include <elf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "procfile.h"

/* glibc's confstr(_CS_PATH): env's search path if PATH is unset. */
static const char default_search_path[] = "/bin:/usr/bin";

/* bash's test for "cannot execute binary file": a NUL in the first line, or an ELF header. */
static bool is_binary(const char *path) {
    char head[128];
    ssize_t length = procfile_read_regular(path, head, sizeof head);
    if (length <= 0)
        return false;
    if (length >= SELFMAG && memcmp(head, ELFMAG, SELFMAG) == 0)
        return true;
    const char *newline = memchr(head, '\n', (size_t)length);
    size_t line_bytes = newline ? (size_t)(newline - head) : (size_t)length;
    return memchr(head, '\0', line_bytes) != NULL;
}

/* Runs a file without an interpreter line as `/bin/sh FILE ARG...`; on failure errno says why. */
static void exec_with_shell(const char *path, char **argv, char **envp) {
    size_t count = 0;
    while (argv[count] != NULL)
        count++;
    size_t arguments = count > 0 ? count - 1 : 0;
    char **shell_argv = calloc(arguments + 3, sizeof *shell_argv);
    if (shell_argv == NULL)
        return;
    shell_argv[0] = (char *)"/bin/sh";
    shell_argv[1] = (char *)path;
    if (arguments > 0)
        memcpy(shell_argv + 2, argv + 1, arguments * sizeof *argv);
    execve("/bin/sh", shell_argv, envp);
    int error = errno;
    free(shell_argv);
    errno = error;
}

static int try_exec(const char *path, char **argv, char **envp) {
    execve(path, argv, envp);
    if (errno != ENOEXEC)
        return errno;
    if (is_binary(path))
        return ENOEXEC;
    exec_with_shell(path, argv, envp);
    return errno;
}

/* Errors after which execvp(3) tries the next folder of PATH. */
static bool goes_on(int error) {
    return error == ENOENT || error == ENOTDIR || error == EACCES || error == ESTALE ||
           error == ENODEV || error == ETIMEDOUT;
}

static void fail(struct exec_failure *failure, int error, const char *path) {
    failure->error = error;
    snprintf(failure->path, sizeof failure->path, "%s", path);
}

/* Path of the command in the first folder of list; an empty one is the current folder. Returns
 * false if the path is too long. */
static bool join(char *path, size_t path_bytes, const char *list, const char *command) {
    size_t folder_bytes = strcspn(list, ":");
    int length = snprintf(path, path_bytes, "%.*s%s%s", (int)folder_bytes, list,
                          folder_bytes > 0 ? "/" : "", command);
    return length > 0 && (size_t)length < path_bytes;
}

static const char *search_path(void) {
    const char *list = getenv("PATH");
    return list != NULL ? list : default_search_path;
}

bool search_candidate(const char *command, int index, char *path, size_t path_bytes) {
    if (strchr(command, '/') != NULL) {
        snprintf(path, path_bytes, "%s", command);
        return index == 0;
    }
    const char *list = search_path();
    for (; index > 0; index--) {
        list += strcspn(list, ":");
        if (*list++ == '\0')
            return false;
    }
    if (!join(path, path_bytes, list, command))
        *path = '\0';
    return true;
}

void search_and_exec(const char *command, char **argv, char **envp, struct exec_failure *failure) {
    fail(failure, ENOENT, command);
    if (*command == '\0')
        return;
    if (strlen(command) > NAME_MAX && strchr(command, '/') == NULL) {
        failure->error = ENAMETOOLONG;
        return;
    }
    if (strchr(command, '/') != NULL) {
        fail(failure, try_exec(command, argv, envp), command);
        return;
    }
    for (const char *list = search_path();; list += strcspn(list, ":") + 1) {
        char path[PATH_MAX];
        if (join(path, sizeof path, list, command)) {
            int error = try_exec(path, argv, envp);
            if (!goes_on(error)) {
                fail(failure, error, path);
                return;
            }
            /* As in glibc: EACCES in any folder decides, else the last folder's error. */
            if (failure->error != EACCES) {
                failure->error = error;
                /* It exists, but is denied or lacks its interpreter: worth naming. */
                if (error != ENOTDIR && access(path, F_OK) == 0)
                    fail(failure, error, path);
            }
        }
        if (list[strcspn(list, ":")] == '\0')
            return;
    }
}

static const char *machine_name(unsigned machine) {
    switch (machine) {
    case EM_X86_64:
        return "x86_64";
    case EM_386:
        return "i386";
    case EM_AARCH64:
        return "aarch64";
    case EM_ARM:
        return "arm";
    case EM_PPC64:
        return "ppc64";
    case EM_S390:
        return "s390x";
    case 243: /* EM_RISCV, which older headers lack */
        return "riscv";
    default:
        return NULL;
    }
}

static void describe_binary(const char *path, char *text, size_t size) {
    unsigned char head[20 + 1];
    ssize_t length = procfile_read(path, (char *)head, sizeof head);
    if (length < 20 || memcmp(head, ELFMAG, SELFMAG) != 0) {
        snprintf(text, size,
                 "it is a binary file in a format that this kernel does not run; use a program "
                 "built for Linux on this machine");
        return;
    }
    bool big_endian = head[EI_DATA] == ELFDATA2MSB;
    unsigned machine = big_endian ? head[18] * 256U + head[19] : head[19] * 256U + head[18];
    bool is_x32 = machine == EM_X86_64 && head[EI_CLASS] == ELFCLASS32;
    const char *name = is_x32 ? "x32" : machine_name(machine);
    if (name != NULL)
        snprintf(text, size,
                 "it is an ELF file for %s that this kernel does not run; use one built "
                 "for this machine",
                 name);
    else
        snprintf(text, size,
                 "it is an ELF file for machine %u that this kernel does not run; use one "
                 "built for this machine",
                 machine);
}

/* The first word after "#!", as in fs/binfmt_script.c: a carriage return is a part of it. Returns
 * false if there is none. */
static bool script_interpreter(const char *path, char *interpreter, size_t size) {
    char head[256];
    ssize_t length = procfile_read_regular(path, head, sizeof head);
    if (length < 2 || head[0] != '#' || head[1] != '!')
        return false;
    const char *start = head + 2 + strspn(head + 2, " \t");
    snprintf(interpreter, size, "%.*s", (int)strcspn(start, " \t\n"), start);
    return true;
}

/* Without permission to execute it. Only for a program is chmod the answer. */
static void describe_no_program(const char *path, char *text, size_t size) {
    char head[SELFMAG + 1] = "";
    ssize_t length = procfile_read_regular(path, head, sizeof head);
    bool is_elf = length >= SELFMAG && memcmp(head, ELFMAG, SELFMAG) == 0;
    if (length < 0 || is_elf || strncmp(head, "#!", 2) == 0)
        snprintf(text, size, "it has no execute permission; run chmod +x on it");
    else
        snprintf(text, size,
                 "it has no execute permission and looks like data, neither an ELF file nor a "
                 "script with #!; give the program that reads it, or run chmod +x on it if it is a "
                 "shell script");
}

/* Of an exec that was denied, though the script itself may be executed. */
static bool describe_denied_interpreter(const char *interpreter, const struct stat *status,
                                        char *text, size_t size) {
    struct statvfs system;
    if (S_ISDIR(status->st_mode))
        snprintf(text, size,
                 "its interpreter '%s' is a directory; correct the first line of the script",
                 interpreter);
    else if (!S_ISREG(status->st_mode))
        snprintf(text, size,
                 "its interpreter '%s' is a FIFO, socket or device, not a file; correct the first "
                 "line of the script",
                 interpreter);
    else if (statvfs(interpreter, &system) == 0 && (system.f_flag & ST_NOEXEC) != 0)
        snprintf(text, size,
                 "its interpreter '%s' is on a file system that is mounted noexec (findmnt -T); "
                 "name another in the first line of the script",
                 interpreter);
    else if (access(interpreter, X_OK) != 0)
        snprintf(text, size,
                 "its interpreter '%s' cannot be executed by this user (UID %u); check the "
                 "permissions of that file and of the folders above it (namei -l)",
                 interpreter, geteuid());
    else
        return false;
    return true;
}

/* Returns false if the interpreter that a script names is not the reason. */
static bool describe_interpreter(const char *path, const char *interpreter, int error, char *text,
                                 size_t size) {
    const char *carriage_return = strchr(interpreter, '\r');
    struct stat status;
    bool is_there = stat(interpreter, &status) == 0;
    int missing = is_there ? 0 : errno;
    if (*interpreter == '\0')
        snprintf(text, size, "its first line names no interpreter after #!; add one");
    else if (error == ENOENT && carriage_return != NULL && carriage_return[1] == '\0')
        snprintf(text, size,
                 "its first line ends with a carriage return (CR LF, as on Windows), which the "
                 "kernel takes as part of the interpreter's name '%.*s'; remove them with sed -i "
                 "'s/\\r$//' FILE",
                 (int)(carriage_return - interpreter), interpreter);
    else if (error == ENOENT && carriage_return != NULL)
        snprintf(text, size,
                 "its lines end with carriage returns alone, which the kernel takes as part of the "
                 "interpreter's name '%.*s'; replace them with sed -i 's/\\r/\\n/g' FILE",
                 (int)(carriage_return - interpreter), interpreter);
    else if (error == ENOENT && is_there)
        snprintf(text, size,
                 "its interpreter '%s' exists, but not what that needs: its own interpreter or its "
                 "loader (ld.so); start the interpreter by itself to see what is missing",
                 interpreter);
    else if (error == ENOENT)
        snprintf(text, size,
                 "its interpreter '%s' does not exist; install it, or correct the first line of "
                 "the script",
                 interpreter);
    else if (error == ENOTDIR && missing == ENOTDIR)
        snprintf(text, size,
                 "the path of its interpreter '%s' goes through a file; correct the first line of "
                 "the script",
                 interpreter);
    else if (error == ELOOP && missing == ELOOP)
        snprintf(text, size,
                 "the links of its interpreter's path '%s' go in a circle (namei); correct them, "
                 "or the first line of the script",
                 interpreter);
    else if (error == ELOOP)
        snprintf(text, size,
                 "its interpreter '%s' is a script, whose interpreter is one too, more in a row "
                 "than the kernel follows (5), or in a circle; name a program in the first line",
                 interpreter);
    else if (error == ETXTBSY)
        snprintf(text, size,
                 "it or its interpreter '%s' is open for writing; wait until its writer has closed "
                 "it (fuser -v)",
                 interpreter);
    else
        return error == EACCES && is_there && access(path, X_OK) == 0 &&
               describe_denied_interpreter(interpreter, &status, text, size);
    return true;
}

void failure_describe(const struct exec_failure *failure, char *text, int text_bytes) {
    size_t size = (size_t)text_bytes;
    const char *path = failure->path;
    char interpreter[256];
    struct stat status;
    bool is_path = strchr(path, '/') != NULL;
    bool is_there = is_path && stat(path, &status) == 0;
    if (is_there && script_interpreter(path, interpreter, sizeof interpreter) &&
        describe_interpreter(path, interpreter, failure->error, text, size))
        return;
    if (failure->error == ENOEXEC) {
        describe_binary(path, text, size);
    } else if (failure->error == E2BIG) {
        snprintf(text, size,
                 "its arguments and environment are longer than the kernel allows; shorten them, "
                 "or raise the stack limit (ulimit -s), a quarter of which they may fill");
    } else if (failure->error == ENOENT && is_there) {
        snprintf(text, size,
                 "the file exists, but the loader that it names (ld.so of glibc or musl) does not; "
                 "install that libc, or use a static build");
    } else if (failure->error == ENOENT) {
        snprintf(text, size,
                 is_path ? "no such file; check the path"
                         : "no such command in PATH; check the spelling, or give its path");
    } else if (failure->error == EACCES && is_there && S_ISDIR(status.st_mode)) {
        snprintf(text, size, "it is a directory; give the path of a program in it");
    } else if (failure->error == EACCES && is_there && !S_ISREG(status.st_mode)) {
        snprintf(text, size,
                 "it is a FIFO, socket or device, not a file; give the path of a program");
    } else if (failure->error == EACCES && is_there && (status.st_mode & 0111) == 0) {
        describe_no_program(path, text, size);
    } else if (failure->error == EACCES) {
        snprintf(text, size,
                 "permission denied; check the permissions of the file and of the folders above it "
                 "(namei -l), and that its file system is not mounted noexec");
    } else if (failure->error == ENAMETOOLONG) {
        snprintf(text, size,
                 "%s: a path may have %d bytes, and each name in it %d; check the command",
                 strerror(failure->error), PATH_MAX - 1, NAME_MAX);
    } else if (failure->error == ENOTDIR) {
        snprintf(text, size, "%s: its path goes through a file; check the path",
                 strerror(failure->error));
    } else if (failure->error == ELOOP) {
        snprintf(text, size, "%s; check where the links of its path lead (namei)",
                 strerror(failure->error));
    } else if (failure->error == ETXTBSY) {
        snprintf(text, size,
                 "%s: it is open for writing; wait until its writer has closed it (fuser -v)",
                 strerror(failure->error));
    } else {
        snprintf(text, size, "%s; start it without ksmrun-exec to see whether that fails too",
                 strerror(failure->error));
    }
}
