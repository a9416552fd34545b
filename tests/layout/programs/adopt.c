/* adopt COMMAND [ARG]...: becomes a command that adopts orphaned descendants, as the first process
 * of a container does. */
#include <sys/prctl.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc > 1 && prctl(PR_SET_CHILD_SUBREAPER, 1L, 0L, 0L, 0L) == 0)
        execvp(argv[1], argv + 1);
    return 125;
}
