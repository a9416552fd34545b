/* ksmrun: the first process of the command, there because Python forgets something.
 *
 * Python ignores SIGPIPE and SIGXFSZ before any of our code runs (Python/pylifecycle.c:
 * init_signals), and what the caller had is then lost. A program started under systemd has SIGPIPE
 * ignored (IgnoreSIGPIPE=yes), one started from a shell has not, and both must get what they would
 * have without us. Python also turns a Ctrl-C during its start into a traceback, so SIGINT is held
 * back until its default action is in place again. How things were goes to ksmrun-py beside this
 * file in the first argument, where it never reaches the program's environment.
 *
 * Where Python cannot start, the program of `ksmrun run` starts without it (fallback.h); ksmrun-py
 * comes back here for that, too, where it fails before it has read its arguments. */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "fallback.h"

enum { EXIT_OWN_FAILURE = 125, EXIT_CANNOT_RUN = 126 };

static bool is_ignored(int signal_number) {
    struct sigaction action;
    return sigaction(signal_number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

/* The folder of this file with links resolved, as ~/.local/bin/ksmrun may be one. */
static bool own_folder(char *folder, size_t size) {
    ssize_t length = readlink("/proc/self/exe", folder, size - 1);
    if (length > 0) {
        folder[length] = '\0';
    } else {
        const char *name = (const char *)getauxval(AT_EXECFN);
        char resolved[PATH_MAX];
        if (name == NULL || realpath(name, resolved) == NULL || strlen(resolved) >= size)
            return false;
        strcpy(folder, resolved);
    }
    char *slash = strrchr(folder, '/');
    if (slash == NULL)
        return false;
    *slash = '\0';
    return true;
}

/* The Python that pip named in the first line of ksmrun-py, to be started with -E and -P: variables
 * like PYTHONHOME and PYTHONPATH are the program's, and must not change ksmrun. pip moves a path
 * with blanks, or a long one, to the second line: '''exec' "/a path/python" "$0" "$@". */
static bool read_interpreter(const char *script, char *interpreter, size_t size) {
    static const char shell_lines[] = "#!/bin/sh\n'''exec' ";
    char head[2 * PATH_MAX];
    FILE *file = fopen(script, "re");
    size_t length = file != NULL ? fread(head, 1, sizeof head - 1, file) : 0;
    if (file != NULL)
        fclose(file);
    head[length] = '\0';
    const char *start = head + 2, *end_marks = " \t\r\n";
    if (strncmp(head, shell_lines, sizeof shell_lines - 1) == 0) {
        start = head + sizeof shell_lines - 1;
        if (*start == '"' || *start == '\'')
            end_marks = *start++ == '"' ? "\"\n" : "'\n";
    } else if (strncmp(head, "#!", 2) != 0) {
        return false;
    }
    size_t bytes = strcspn(start, end_marks);
    if (*start != '/' || bytes >= size)
        return false;
    memcpy(interpreter, start, bytes);
    interpreter[bytes] = '\0';
    /* A shell there is a form that is not known here. */
    return strcmp(interpreter, "/bin/sh") != 0;
}

static int fail(const char *what, const char *todo) {
    fprintf(stderr, "ksmrun: %s; %s\n", what, todo);
    return EXIT_OWN_FAILURE;
}

static const char out_of_room[] =
    "raise the limits (ulimit -v, -d and -n), or install ksmrun again with pip";

int main(int argc, char **argv) {
    char folder[PATH_MAX];
    if (!own_folder(folder, sizeof folder))
        return fail("cannot find the folder of this command",
                    "mount /proc, or start it by its path");
    static const char comes_back[] = "--front=start";
    if (argc > 2 && strcmp(argv[1], comes_back) == 0)
        return fallback_start(folder, argv + 2, "the Python part of ksmrun fails", out_of_room);
    if (!fallback_has_room()) {
        int code = fallback_start(folder, argv + 1, "the limits leave too little room for Python",
                                  out_of_room);
        if (code >= 0)
            return code;
    }
    char python_part[PATH_MAX + sizeof "/ksmrun-py"];
    snprintf(python_part, sizeof python_part, "%s/ksmrun-py", folder);

    sigset_t interrupt, before;
    sigemptyset(&interrupt);
    sigaddset(&interrupt, SIGINT);
    sigprocmask(SIG_BLOCK, &interrupt, &before);
    char signals[] = "--front=---";
    char *flags = signals + sizeof signals - sizeof "---";
    flags[0] = is_ignored(SIGPIPE) ? 'P' : '-';
    flags[1] = is_ignored(SIGXFSZ) ? 'X' : '-';
    flags[2] = sigismember(&before, SIGINT) ? 'B' : '-';

    char interpreter[PATH_MAX];
    bool is_known = read_interpreter(python_part, interpreter, sizeof interpreter);
    char **arguments = calloc((size_t)argc + 5, sizeof *arguments);
    if (arguments == NULL) {
        sigprocmask(SIG_SETMASK, &before, NULL);
        int code = fallback_start(folder, argv + 1, "out of memory", out_of_room);
        return code >= 0 ? code : fail("out of memory", "raise the limits (ulimit -v and -d)");
    }
    int count = 0;
    if (is_known) {
        arguments[count++] = interpreter;
        arguments[count++] = (char *)"-E";
        arguments[count++] = (char *)"-P";
    }
    arguments[count++] = python_part;
    arguments[count++] = signals;
    for (int i = 1; i < argc; i++)
        arguments[count++] = argv[i];
    execv(is_known ? interpreter : python_part, arguments);
    if (errno == E2BIG) {
        fprintf(
            stderr,
            "ksmrun: the arguments and the environment are longer than the kernel allows; shorten "
            "them, or raise the stack limit (ulimit -s), a quarter of which they may fill\n");
        return EXIT_CANNOT_RUN;
    }
    /* The interpreter may lie where this user cannot go, as in root's home. */
    const char *file = is_known ? interpreter : python_part;
    char what[PATH_MAX + 128], todo[PATH_MAX + 128];
    snprintf(what, sizeof what, "cannot start %s as user %u: %s", file, geteuid(), strerror(errno));
    snprintf(todo, sizeof todo,
             errno == EACCES ? "see where permission is missing (namei -l %s), or install ksmrun "
                               "with a Python that all users can execute"
                             : "install ksmrun again with pip, as %s was moved or deleted",
             file);
    sigprocmask(SIG_SETMASK, &before, NULL);
    int code = fallback_start(folder, argv + 1, what, todo);
    return code >= 0 ? code : fail(what, todo);
}
