/* ksmrun: the first process of the command, there because Python forgets something.
 *
 * Python ignores SIGPIPE and SIGXFSZ before any of our code runs (Python/pylifecycle.c:
 * init_signals), and what the caller had is then lost. A program started under systemd has SIGPIPE
 * ignored (IgnoreSIGPIPE=yes), one started from a shell has not, and both must get what they would
 * have without us. Python also turns a Ctrl-C during its start into a traceback, so SIGINT is held
 * back until its default action is in place again. How things were goes to ksmrun-py beside this
 * file in the first argument, where it never reaches the program's environment. */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

enum { EXIT_OWN_FAILURE = 125 };

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

static int fail(const char *what) {
    fprintf(stderr, "ksmrun: %s; install ksmrun again with pip\n", what);
    return EXIT_OWN_FAILURE;
}

int main(int argc, char **argv) {
    char folder[PATH_MAX];
    if (!own_folder(folder, sizeof folder))
        return fail("cannot find the folder this command lies in");
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

    char **arguments = calloc((size_t)argc + 3, sizeof *arguments);
    if (arguments == NULL)
        return fail("no memory");
    arguments[0] = python_part;
    arguments[1] = signals;
    for (int i = 1; i < argc; i++)
        arguments[i + 1] = argv[i];
    execv(python_part, arguments);
    char what[PATH_MAX + 128];
    snprintf(what, sizeof what, "cannot start %s: %s", python_part, strerror(errno));
    return fail(what);
}
