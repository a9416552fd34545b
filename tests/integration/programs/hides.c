/* hides: cannot be read by its own user at first (PR_SET_DUMPABLE(2const)). */
#include <sys/prctl.h>
#include <unistd.h>

int main(void) {
    if (prctl(PR_SET_DUMPABLE, 0L, 0L, 0L, 0L) != 0)
        return 99;
    usleep(600 * 1000);
    if (prctl(PR_SET_DUMPABLE, 1L, 0L, 0L, 0L) != 0)
        return 98;
    sleep(3);
    return 0;
}
