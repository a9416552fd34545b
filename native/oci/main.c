/* ksmrun-oci: takes the place of runc or crun, and puts the launcher before what a container runs.
 * It ends by executing the runtime, so nothing of it remains. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "runtime.h"
#include "wrap.h"

/* Differs from the runtime's own codes, which engines translate for their users. */
enum { EXIT_OWN_FAILURE = 125 };

int main(int argc, char **argv) {
    struct arguments arguments;
    char runtime[PATH_MAX];
    arguments_parse(argv, &arguments);
    if (argc < 1 || arguments.help)
        return fputs(arguments_help, stdout) < 0 || fflush(stdout) != 0 ? EXIT_OWN_FAILURE : 0;
    if (!runtime_find(&arguments, runtime)) {
        log_line(
            &arguments, LEVEL_ERROR,
            "no runtime: %s does not exist, is not executable, or is this program; install runc or "
            "crun, or name one by --ksmrun-runtime or KSMRUN_OCI_RUNTIME",
            runtime);
        return EXIT_OWN_FAILURE;
    }
    char **words = argv + arguments.first;
    if (arguments.command != COMMAND_OTHER && arguments.unknown != NULL)
        log_line(&arguments, LEVEL_WARNING,
                 "%s is not a known option; the container starts without merging; use the long "
                 "options of runc or crun",
                 arguments.unknown);
    else if ((arguments.command == COMMAND_CREATE || arguments.command == COMMAND_RESTORE) &&
             !wrap_create(&arguments))
        return EXIT_OWN_FAILURE;
    else if (arguments.command == COMMAND_EXEC) {
        words = wrap_exec(&arguments, runtime, argv);
        if (words == NULL)
            return EXIT_OWN_FAILURE;
    }
    /* The place before the words is free: it was argv[0] or an option of ours. */
    words[-1] = runtime;
    execv(runtime, words - 1);
    log_line(
        &arguments, LEVEL_ERROR,
        "cannot start %s: %s; check its permissions, or name another runtime by --ksmrun-runtime",
        runtime, strerror(errno));
    return EXIT_OWN_FAILURE;
}
