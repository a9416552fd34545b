/* Waits for ever, and prints how often a signal interrupted that: its handler makes the wait
 * fail. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>

static void on_signal(int number) {
    (void)number;
}

int main(void) {
    struct sigaction action = {.sa_handler = on_signal};
    struct epoll_event event;
    int poll = epoll_create1(0);
    if (poll < 0 || sigaction(SIGUSR1, &action, NULL) != 0)
        return 1;
    puts("0");
    fflush(stdout);
    for (int count = 1; epoll_wait(poll, &event, 1, -1) < 0 && errno == EINTR; count++) {
        printf("%d\n", count);
        fflush(stdout);
    }
    return 1;
}
