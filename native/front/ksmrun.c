/* ksmrun: first process of the command. It preserves what Python forgets.
 *
 * Python ignores SIGPIPE and SIGXFSZ before any of our code runs (Python/pylifecycle.c:
 * init_signals), and the caller's dispositions are then lost. A program started under systemd has
 * SIGPIPE ignored (IgnoreSIGPIPE=yes), one started from a shell does not, and both must get what
 * they would have without us. Python also turns a Ctrl-C during its start into a traceback, so
 * SIGINT is blocked until its default action is restored. The original state is passed to
 * .ksmrun-py, beside this file, as its first argument, so that it never appears in the program's
 * environment.
 *
 * If Python cannot start, the program of `ksmrun run` starts without it (fallback.h). Python also
 * returns here for that if it starts but something of ours fails. */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "complete.h"
#include "fallback.h"
#include "plan_cache.h"
#include "python.h"

enum { EXIT_OWN_FAILURE = 125, EXIT_CANNOT_RUN = 126 };

static bool is_ignored(int signal_number) {
    struct sigaction action;
    return sigaction(signal_number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

/* Folder of this file with links resolved, as ~/.local/bin/ksmrun may be a link. */
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

static int fail(const char *what, const char *todo) {
    fprintf(stderr, "ksmrun: %s; %s\n", what, todo);
    return EXIT_OWN_FAILURE;
}

static const char out_of_room[] =
    "raise the limits (ulimit -v, -d and -n), or install ksmrun again";

/* PYTHONPATH is the program's. */
static const char not_found[] = "install ksmrun again, with pip in a virtual environment (--prefix "
                                "and --target do not work, as "
                                "PYTHONPATH is not read)";

/* Says why Python does not start, and what to do. It may be where this user cannot go, as in root's
 * home. */
static void explain_start(const char *file, int error, char *what, char *todo, size_t size) {
    struct statvfs system;
    snprintf(what, size, "cannot start %s as user %u: %s", file, geteuid(), strerror(error));
    if (error == EACCES && statvfs(file, &system) == 0 && (system.f_flag & ST_NOEXEC) != 0)
        snprintf(todo, size, "install ksmrun where nothing is mounted noexec: findmnt -T %s", file);
    else if (error == EACCES)
        snprintf(todo, size,
                 "see where permission is missing (namei -l %s), or install ksmrun with a Python "
                 "that all users can execute",
                 file);
    else
        snprintf(todo, size, "install ksmrun again");
}

static void explain_length(char *what, char *todo, size_t size) {
    snprintf(what, size, "the arguments and the environment leave no room for those of ksmrun");
    snprintf(
        todo, size,
        "shorten them, or raise the stack limit (ulimit -s), a quarter of which they may fill");
}

/* Undoes what Python did at its start. found: the original state, as main() writes it. */
static void restore(const char *found) {
    sigset_t interrupt;
    sigemptyset(&interrupt);
    sigaddset(&interrupt, SIGINT);
    if (strchr(found, 'P') == NULL)
        signal(SIGPIPE, SIG_DFL);
    if (strchr(found, 'X') == NULL)
        signal(SIGXFSZ, SIG_DFL);
    /* In the C locale Python sets the variable, for its children too (PEP 538). */
    if (strchr(found, 'L') == NULL)
        unsetenv("LC_CTYPE");
    if (strchr(found, 'B') == NULL)
        sigprocmask(SIG_UNBLOCK, &interrupt, NULL);
}

int main(int argc, char **argv) {
    plan_cache_start(argv + 1);
    char folder[PATH_MAX];
    if (!own_folder(folder, sizeof folder))
        return fail("cannot find the folder of this command",
                    "mount /proc, or start it by its path");
    /* Asked by shells at each key press (complete.h), for which Python starts too slowly. */
    if (argc > 1 && strcmp(argv[1], "--front=complete") == 0)
        return complete_print(argc - 2, argv + 2);
    static const char comes_back[] = "--front=start";
    if (argc > 4 && strcmp(argv[1], comes_back) == 0) {
        char fails[512];
        snprintf(fails, sizeof fails, "the Python part of ksmrun fails%s%s%s",
                 *argv[2] == '\0' ? "" : " (", argv[2], *argv[2] == '\0' ? "" : ")");
        restore(argv[3]);
        const char *todo = strstr(argv[2], "ModuleNotFound") != NULL ? not_found : out_of_room;
        int code = fallback_start(folder, argv + 4, fails, todo);
        return code >= 0 ? code : fail(fails, todo);
    }
    if (!fallback_has_room()) {
        int code = fallback_start(folder, argv + 1, "the limits leave too little room for Python",
                                  out_of_room);
        if (code >= 0)
            return code;
    }
    char python_part[PATH_MAX + sizeof "/.ksmrun-py"], front[PATH_MAX + sizeof "/ksmrun"];
    snprintf(python_part, sizeof python_part, "%s/.ksmrun-py", folder);
    snprintf(front, sizeof front, "%s/ksmrun", folder);
    char interpreter[PATH_MAX];
    bool is_known = python_of_script(python_part, interpreter, sizeof interpreter);
    bool is_launch = argc > 1 && strcmp(argv[1], "run") == 0;
    if (is_known && is_launch && !python_starts(interpreter)) {
        char what[PATH_MAX + 128] = "Python does not start", todo[PATH_MAX + 128];
        snprintf(todo, sizeof todo, "%s", out_of_room);
        if (python_gets_libraries()) {
            snprintf(what, sizeof what,
                     "Python does not start with the libraries of LD_LIBRARY_PATH, LD_PRELOAD or "
                     "LD_AUDIT");
            snprintf(todo, sizeof todo,
                     "give them to the program alone (ksmrun run -- env LD_LIBRARY_PATH=... "
                     "PROGRAM)");
        }
        if (access(interpreter, X_OK) != 0)
            explain_start(interpreter, errno, what, todo, sizeof what);
        int code = fallback_start(folder, argv + 1, what, todo);
        if (code >= 0)
            return code;
    }

    sigset_t interrupt, before;
    sigemptyset(&interrupt);
    sigaddset(&interrupt, SIGINT);
    sigprocmask(SIG_BLOCK, &interrupt, &before);
    char found[] = "--front=----";
    char *flags = found + sizeof found - sizeof "----";
    flags[0] = is_ignored(SIGPIPE) ? 'P' : '-';
    flags[1] = is_ignored(SIGXFSZ) ? 'X' : '-';
    flags[2] = sigismember(&before, SIGINT) ? 'B' : '-';
    flags[3] = getenv("LC_CTYPE") != NULL ? 'L' : '-';

    char **arguments = calloc((size_t)argc + 7, sizeof *arguments);
    if (arguments == NULL) {
        sigprocmask(SIG_SETMASK, &before, NULL);
        int code = fallback_start(folder, argv + 1, "out of memory", out_of_room);
        return code >= 0 ? code : fail("out of memory", "raise the limits (ulimit -v and -d)");
    }
    int count = 0;
    if (is_known) {
        /* PYTHONHOME, PYTHONPATH and similar are meant for the program, and must not affect
         * ksmrun. */
        arguments[count++] = interpreter;
        arguments[count++] = (char *)"-E";
        arguments[count++] = (char *)"-P";
    }
    if (is_known) {
        arguments[count++] = (char *)"-c";
        arguments[count++] = (char *)python_guarded;
        arguments[count++] = front;
    }
    arguments[count++] = python_part;
    arguments[count++] = found;
    for (int i = 1; i < argc; i++)
        arguments[count++] = argv[i];
    execv(is_known ? interpreter : python_part, arguments);
    char what[PATH_MAX + 128], todo[PATH_MAX + 128];
    /* The program itself may just fit. */
    if (errno == E2BIG)
        explain_length(what, todo, sizeof what);
    else
        explain_start(is_known ? interpreter : python_part, errno, what, todo, sizeof what);
    sigprocmask(SIG_SETMASK, &before, NULL);
    int code = fallback_start(folder, argv + 1, what, todo);
    return code >= 0 ? code : fail(what, todo);
}
