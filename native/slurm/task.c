/* ksmrun-slurm-task: becomes ksmrun-exec, with the options that the SPANK plugin hands over in a
 * variable, and with the task's own command.
 *
 * A plugin can name another program to slurmstepd, but it cannot give it more arguments. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../common/merge.h"
#include "takeover.h"

enum { EXIT_OWN_FAILURE = 125 };

int main(int argc, char **argv) {
    const char *given = getenv(TASK_VARIABLE);
    if (given == NULL && argc == 2 && strcmp(argv[1], TASK_TRIAL) == 0)
        return merge_get() == 1 ? 0 : 1;
    char *text = given == NULL ? NULL : strdup(given);
    /* Options, "--", the command, its arguments and NULL. */
    char **words = calloc((size_t)argc + OPTIONS_MAX + 3, sizeof *words);
    char *command = text == NULL ? NULL : strstr(text, "\n\n");
    if (words == NULL || command == NULL || unsetenv(TASK_VARIABLE) != 0) {
        fprintf(stderr, "ksmrun-slurm-task: it is started by Slurm's plugin of ksmrun only; to "
                        "do: see `ksmrun help fleets`\n");
        return EXIT_OWN_FAILURE;
    }
    *command = '\0';
    command += 2;
    int count = 0;
    char *rest = NULL;
    for (char *word = strtok_r(text, "\n", &rest); word != NULL && count < OPTIONS_MAX;
         word = strtok_r(NULL, "\n", &rest))
        words[count++] = word;
    words[count++] = "--";
    words[count++] = command;
    for (int i = 1; i < argc; i++)
        words[count++] = argv[i];
    execv(words[0], words);
    fprintf(stderr,
            "ksmrun-slurm-task: cannot run '%s': %s; the program is not started; to do: install "
            "ksmrun on this node\n",
            words[0], strerror(errno));
    return EXIT_OWN_FAILURE;
}
