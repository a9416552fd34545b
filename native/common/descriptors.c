#include "descriptors.h"

#include <limits.h>
#include <sys/syscall.h>
#include <unistd.h>

/* close_range(2) exists since Linux 5.9. The loop stops at the limit; a descriptor above a limit
 * that was lowered later stays open until the observer ends, a moment after the exec. */
static void close_range_or_loop(int from, int to) {
    if (from > to || syscall(SYS_close_range, from, to, 0) == 0)
        return;
    long limit = sysconf(_SC_OPEN_MAX);
    for (int fd = from; fd <= to && fd < limit; fd++)
        close(fd);
}

void descriptors_close_all_but(int first, int second) {
    int low = first < second ? first : second;
    int high = first < second ? second : first;
    close(STDIN_FILENO);
    close(STDOUT_FILENO);
    close_range_or_loop(STDERR_FILENO + 1, low - 1);
    close_range_or_loop(low + 1, high - 1);
    close_range_or_loop(high + 1, INT_MAX);
}
