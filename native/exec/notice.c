#include "notice.h"

#include "../common/message.h"
#include "../common/procfile.h"

bool fail_open(const struct options *options, const char *what, const char *todo) {
    if (options->require)
        message("%s; not started because of --require; to do: %s", what, todo);
    else if (!options->quiet)
        message("%s; the program starts anyway; to do: %s", what, todo);
    return !options->require;
}

void warn_if_ksmd_is_off(const struct options *options) {
    char run[16];
    if (options->quiet || procfile_read("/sys/kernel/mm/ksm/run", run, sizeof run) < 0)
        return;
    if (run[0] != '1')
        message("KSM is off on this host (/sys/kernel/mm/ksm/run is %c), so nothing merges yet; to "
                "do: run `sudo ksmrun host on` (or `echo 1 | sudo tee /sys/kernel/mm/ksm/run`), no "
                "program has to be restarted",
                run[0]);
}
