#include "descriptors.h"

#include <dirent.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The limit may be a thousand million. A descriptor that is closed does not end the listing
 * (fs/proc/fd.c: proc_readfd_common). */
static bool close_listed(int from, int to) {
    DIR *folder = opendir("/proc/self/fd");
    if (folder == NULL)
        return false;
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        int fd = atoi(entry->d_name);
        if (fd >= from && fd <= to && fd != dirfd(folder))
            close(fd);
    }
    return closedir(folder) == 0;
}

/* close_range(2) exists since Linux 5.9, and a filter may deny it. The loop, without /proc, stops
 * at the limit; a descriptor above a limit that was lowered later stays open until the observer
 * ends, a moment after the exec. */
static void close_range_or_each(int from, int to) {
    if (from > to || syscall(SYS_close_range, from, to, 0) == 0 || close_listed(from, to))
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
    close_range_or_each(STDERR_FILENO + 1, low - 1);
    close_range_or_each(low + 1, high - 1);
    close_range_or_each(high + 1, INT_MAX);
}
