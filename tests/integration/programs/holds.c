/* Says whether the merge flag is set in it ("1" or "0"), and ends when its stdin does. */
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

int main(void) {
    char byte;
    if (printf("%d\n", prctl(68, 0L, 0L, 0L, 0L)) < 0 || fflush(stdout) != 0)
        return 1;
    while (read(STDIN_FILENO, &byte, 1) > 0)
        ;
    return 0;
}
