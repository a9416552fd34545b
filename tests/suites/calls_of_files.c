/* System calls of files, descriptors and limits. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "calls.h"

static const char *locked = "calls-locked";
static int locks_again(void) {
    struct flock lock = {.l_type = F_WRLCK, .l_len = 10};
    int file = open(locked, O_RDWR | O_CREAT, 0600);
    TELL(fcntl(file, F_SETLK, &lock));
    TELL(fcntl(file, F_OFD_SETLK, &lock));
    TELL(fcntl(file, F_GETLK, &lock));
    printf("type %d\n", lock.l_type);
    TELL(flock(file, LOCK_EX | LOCK_NB));
    return 0;
}

void locks(void) {
    struct flock lock = {.l_type = F_WRLCK, .l_len = 10};
    int file = open(locked, O_RDWR | O_CREAT, 0600), other = dup(file);
    TELL(fcntl(file, F_SETLK, &lock));
    TELL(flock(file, LOCK_EX));
    in_child("locks again", locks_again);
    /* Any close of the file by this process frees its record locks (fcntl(2)). */
    close(other);
    in_child("locks again", locks_again);
    TELL(fcntl(file, F_GETFD));
    TELL(fcntl(file, F_SETFD, FD_CLOEXEC));
    TELL(fcntl(file, F_DUPFD, -1));
    TELL(fcntl(999, F_GETFL));
    TELL(fcntl(file, F_SETPIPE_SZ, 1));
    unlink(locked);
}

void futexes(void) {
    static int word = 1;
    const struct timespec soon = {0, 1000000};
    TELL(syscall(SYS_futex, &word, FUTEX_WAIT, 2, NULL, NULL, 0));
    TELL(syscall(SYS_futex, &word, FUTEX_WAIT, 1, &soon, NULL, 0));
    TELL(syscall(SYS_futex, &word, FUTEX_WAKE, 1, NULL, NULL, 0));
    TELL(syscall(SYS_futex, (char *)&word + 1, FUTEX_WAIT, 1, NULL, NULL, 0));
    TELL(syscall(SYS_futex, NULL, FUTEX_WAIT, 1, NULL, NULL, 0));
    TELL(syscall(SYS_futex, &word, 99, 1, NULL, NULL, 0));
}

static int writes_to_nobody(void) {
    int ends_[2];
    if (pipe(ends_) != 0)
        return 1;
    close(ends_[0]);
    return (int)write(ends_[1], "x", 1);
}

void pipes(void) {
    int ends_[2], more[2];
    char text[4];
    TELL(pipe(ends_));
    TELL(pipe2(more, 12345678));
    TELL(write(ends_[1], "abc", 3));
    TELL(read(ends_[0], text, 4));
    TELL(fcntl(ends_[0], F_SETFL, O_NONBLOCK));
    TELL(read(ends_[0], text, 4));
    TELL(write(ends_[0], "x", 1));
    TELL(lseek(ends_[0], 0, SEEK_SET));
    TELL(fcntl(ends_[0], F_GETPIPE_SZ));
    TELL(read(999, text, 1));
    in_child("writes to nobody", writes_to_nobody);
}

void polling(void) {
    int ends_[2], instance = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN}, found[2];
    fd_set set;
    struct timeval none = {0, 0};
    if (pipe(ends_) != 0)
        exit(1);
    struct pollfd polled[] = {{ends_[0], POLLIN, 0}, {999, POLLIN, 0}};
    FD_ZERO(&set);
    FD_SET(ends_[0], &set);
    TELL(epoll_create(0));
    TELL(epoll_ctl(instance, EPOLL_CTL_ADD, ends_[0], &event));
    TELL(epoll_ctl(instance, EPOLL_CTL_ADD, ends_[0], &event));
    TELL(epoll_ctl(instance, EPOLL_CTL_DEL, ends_[1], &event));
    TELL(epoll_ctl(instance, EPOLL_CTL_ADD, instance, &event));
    TELL(epoll_wait(instance, found, 0, 0));
    TELL(epoll_wait(instance, found, 2, 1));
    TELL(poll(polled, 1, 1));
    TELL(poll(polled, 2, 1));
    TELL(write(ends_[1], "x", 1));
    TELL(epoll_wait(instance, found, 2, -1));
    TELL(poll(polled, 1, -1));
    TELL(select(ends_[0] + 1, &set, NULL, NULL, &none));
    TELL(select(-1, &set, NULL, NULL, &none));
    TELL(ppoll(polled, 1, &(struct timespec){0, -1}, NULL));
}

static int beyond_its_time(void) {
    const struct rlimit second = {1, 1};
    if (setrlimit(RLIMIT_CPU, &second) != 0)
        return 1;
    for (;;)
        continue;
}

void limits(void) {
    struct rlimit limit;
    struct rusage usage;
    const struct rlimit wrong = {10, 5}, few = {5, 5}, core = {0, 0};
    TELL(getrlimit(99, &limit));
    TELL(setrlimit(RLIMIT_NOFILE, &wrong));
    TELL(getrusage(5, &usage));
    TELL(getrusage(RUSAGE_THREAD, &usage));
    for (int which = 0; which < RLIM_NLIMITS; which++) {
        if (getrlimit((__rlimit_resource_t)which, &limit) != 0)
            exit(1);
        printf("%d: %lu %lu\n", which, (unsigned long)limit.rlim_cur,
               (unsigned long)limit.rlim_max);
    }
    TELL(setrlimit(RLIMIT_CORE, &core));
    in_child("beyond its time", beyond_its_time);
    TELL(setrlimit(RLIMIT_NOFILE, &few));
    TELL(open("/dev/null", O_RDONLY));
    TELL(open("/dev/null", O_RDONLY));
    TELL(open("/dev/null", O_RDONLY));
}
