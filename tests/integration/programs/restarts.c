/* restarts: executes itself until its addresses are not randomised, at most nine times, and prints
 * how often it did. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/personality.h>
#include <unistd.h>

int main(int argc, char **argv) {
    char count[16];
    int tries = argc > 1 ? atoi(argv[1]) : 0, now = personality(0xffffffff);
    if (now == -1 || tries > 9)
        return 9;
    if (now & ADDR_NO_RANDOMIZE)
        return printf("%d\n", tries) < 0;
    snprintf(count, sizeof count, "%d", tries + 1);
    if (personality((unsigned long)now | ADDR_NO_RANDOMIZE) == -1)
        return 8;
    char *words[] = {argv[0], count, NULL};
    execv("/proc/self/exe", words);
    return 7;
}
