#include "stderr.h"

#include <poll.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

enum { ROOM_MS = 200 };

/* The signals that a write may raise are blocked meanwhile, and one that it raised is removed
 * again. SIGTTOU is not raised for who blocks it: a background job writes also where `stty tostop`
 * is on (drivers/tty/tty_jobctrl.c: __tty_check_change). */
void stderr_write(const char *line, size_t size) {
    sigset_t raised, before, pending;
    struct pollfd room = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll(&room, 1, ROOM_MS) != 1 || (room.revents & POLLOUT) == 0)
        return;
    sigemptyset(&raised);
    sigaddset(&raised, SIGPIPE);
    sigaddset(&raised, SIGXFSZ);
    sigset_t blocked = raised;
    sigaddset(&blocked, SIGTTOU);
    sigprocmask(SIG_BLOCK, &blocked, &before);
    sigpending(&pending);
    if (write(STDERR_FILENO, line, size) < 0) {
        static const struct timespec now = {0};
        if (sigismember(&pending, SIGPIPE))
            sigdelset(&raised, SIGPIPE);
        if (sigismember(&pending, SIGXFSZ))
            sigdelset(&raised, SIGXFSZ);
        sigtimedwait(&raised, NULL, &now);
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
}
