/* blocked CALL [MS]: waits in that system call for an event that comes after this time, and prints
 * the call's result and whether it took that long. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long wait_ms = 1000;
static int pipes[2], sockets[2], full[2], semaphores, messages, listener;
static uint32_t word;
static pid_t child;
static struct sockaddr_in address;

static void pause_ms(long ms) {
    struct timespec left = {ms / 1000, ms % 1000 * 1000000};
    while (nanosleep(&left, &left) != 0)
        ;
}

static void nothing(int signal) {
    (void)signal;
}

static const char *asked;

static int is(const char *name) {
    return strcmp(asked, name) == 0;
}

/* Causes the event that the call waits for. */
static void *come(void *main_thread) {
    pause_ms(wait_ms);
    if (is("accept")) {
        int one = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(one, (struct sockaddr *)&address, sizeof address) != 0)
            perror("connect");
    }
    if (write(pipes[1], "x", 1) != 1 || write(sockets[1], "yz", 2) != 2)
        perror("write");
    char taken[65536];
    while (is("write_timed") && recv(full[1], taken, sizeof taken, MSG_DONTWAIT) > 0)
        ;
    __atomic_store_n(&word, 1, __ATOMIC_SEQ_CST);
    syscall(SYS_futex, &word, FUTEX_WAKE, 1, NULL, NULL, 0);
    struct sembuf up = {0, 1, 0};
    semop(semaphores, &up, 1);
    struct {
        long type;
        char text[4];
    } message = {1, "msg"};
    msgsnd(messages, &message, sizeof message.text, 0);
    pthread_kill(*(pthread_t *)main_thread, SIGUSR1);
    return NULL;
}

static long wait_io_uring(void) {
    struct io_uring_params params = {0};
    int ring = (int)syscall(SYS_io_uring_setup, 4, &params);
    if (ring < 0)
        return -1;
    char *queue = mmap(NULL, params.sq_off.array + params.sq_entries * 4, PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQ_RING);
    struct io_uring_sqe *entry =
        mmap(NULL, params.sq_entries * sizeof *entry, PROT_READ | PROT_WRITE,
             MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQES);
    entry->opcode = IORING_OP_POLL_ADD;
    entry->fd = pipes[0];
    entry->poll_events = POLLIN;
    *(uint32_t *)(queue + params.sq_off.array) = 0;
    __atomic_store_n((uint32_t *)(queue + params.sq_off.tail), 1, __ATOMIC_RELEASE);
    if (syscall(SYS_io_uring_enter, ring, 1, 0, 0, NULL, 0) != 1)
        return -1;
    return syscall(SYS_io_uring_enter, ring, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0);
}

static long wait_for_it(void) {
    struct timespec span = {wait_ms / 1000, wait_ms % 1000 * 1000000}, left = {0};
    struct timespec long_span = {100, 0};
    struct pollfd polled = {pipes[0], POLLIN, 0};
    struct sembuf down = {0, -1, 0};
    sigset_t none, usr1;
    char buffer[16];
    sigemptyset(&none);
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    fd_set set;
    FD_ZERO(&set);
    FD_SET(pipes[0], &set);
    if (is("read"))
        return read(pipes[0], buffer, 1);
    if (is("accept"))
        return accept(listener, NULL, NULL) >= 0;
    if (is("epoll_wait") || is("epoll_wait_timed") || is("epoll_pwait")) {
        int poll = epoll_create1(0);
        struct epoll_event event = {.events = EPOLLIN};
        epoll_ctl(poll, EPOLL_CTL_ADD, pipes[0], &event);
        return epoll_pwait(poll, &event, 1, is("epoll_wait_timed") ? 100000 : -1,
                           is("epoll_pwait") ? &none : NULL);
    }
    if (is("futex"))
        return syscall(SYS_futex, &word, FUTEX_WAIT, 0, NULL, NULL, 0);
    if (is("futex_timed"))
        return syscall(SYS_futex, &word, FUTEX_WAIT, 5, NULL, NULL, 0) == -1 && errno == EAGAIN
                   ? syscall(SYS_futex, &listener, FUTEX_WAIT, listener, &span, NULL, 0)
                   : 77;
    if (is("nanosleep"))
        return nanosleep(&span, &left);
    if (is("clock_nanosleep"))
        return clock_nanosleep(CLOCK_MONOTONIC, 0, &span, &left);
    if (is("poll"))
        return poll(&polled, 1, -1);
    if (is("poll_timed"))
        return poll(NULL, 0, (int)wait_ms);
    if (is("ppoll"))
        return ppoll(&polled, 1, &long_span, &none);
    if (is("select"))
        return select(pipes[0] + 1, &set, NULL, NULL, NULL);
    if (is("pselect"))
        return pselect(pipes[0] + 1, &set, NULL, NULL, &long_span, &none);
    if (is("recvmmsg")) {
        struct iovec vector = {buffer, sizeof buffer};
        struct mmsghdr message = {.msg_hdr = {.msg_iov = &vector, .msg_iovlen = 1}};
        return recvmmsg(sockets[0], &message, 1, 0, NULL) == 1 ? (long)message.msg_len : -1;
    }
    if (is("recv_timed")) {
        struct timeval limit = {100, 0};
        setsockopt(sockets[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        return recv(sockets[0], buffer, sizeof buffer, 0);
    }
    if (is("readv_timed")) {
        struct timeval limit = {100, 0};
        struct iovec vector = {buffer, sizeof buffer};
        setsockopt(sockets[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        return readv(sockets[0], &vector, 1);
    }
    if (is("write_timed")) {
        struct timeval limit = {100, 0};
        setsockopt(full[0], SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
        return write(full[0], buffer, sizeof buffer);
    }
    if (is("semop"))
        return semop(semaphores, &down, 1);
    if (is("semtimedop"))
        return semtimedop(semaphores, &down, 1, &long_span);
    if (is("msgrcv")) {
        struct {
            long type;
            char text[4];
        } message;
        return msgrcv(messages, &message, sizeof message.text, 0, 0);
    }
    if (is("waitid")) {
        siginfo_t info;
        return waitid(P_PID, (id_t)child, &info, WEXITED) == 0 ? info.si_status : -1;
    }
    if (is("pause"))
        return pause();
    if (is("sigsuspend")) {
        sigprocmask(SIG_BLOCK, &usr1, NULL);
        return sigsuspend(&none);
    }
    if (is("sigtimedwait")) {
        sigprocmask(SIG_BLOCK, &usr1, NULL);
        return sigtimedwait(&usr1, NULL, &long_span);
    }
    if (is("io_uring_enter"))
        return wait_io_uring();
    return 99;
}

int main(int argc, char **argv) {
    asked = argc > 1 ? argv[1] : "";
    if (argc > 2)
        wait_ms = atol(argv[2]);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    semaphores = semget(IPC_PRIVATE, 1, 0600);
    messages = msgget(IPC_PRIVATE, 0600);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(listener, 1) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &length) != 0 || pipe(pipes) != 0 ||
        socketpair(AF_UNIX, SOCK_DGRAM, 0, sockets) != 0 || semaphores < 0 || messages < 0)
        return 1;
    char some[4096] = {0};
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, full) != 0)
        return 1;
    while (is("write_timed") && send(full[0], some, sizeof some, MSG_DONTWAIT) > 0)
        ;
    /* Only calls that it should interrupt see the signal. */
    int signalled = is("pause") || is("sigsuspend") || is("sigtimedwait");
    struct sigaction action = {.sa_handler = signalled ? nothing : SIG_IGN};
    sigaction(SIGUSR1, &action, NULL);
    pthread_t self = pthread_self(), other;
    struct timespec begin, end;
    /* Before the fork: the child's time counts from here. */
    clock_gettime(CLOCK_MONOTONIC, &begin);
    if (is("waitid") && (child = fork()) == 0) {
        pause_ms(wait_ms);
        _exit(42);
    }
    if (pthread_create(&other, NULL, come, &self) != 0)
        return 1;
    puts("waits");
    fflush(stdout);
    errno = 0;
    long answer = wait_for_it();
    int error = answer < 0 ? errno : 0;
    clock_gettime(CLOCK_MONOTONIC, &end);
    long took_ms = (end.tv_sec - begin.tv_sec) * 1000 + (end.tv_nsec - begin.tv_nsec) / 1000000;
    printf("%ld %s %s\n", answer, error ? strerrorname_np(error) : "-",
           took_ms < wait_ms - 1     ? "early"
           : took_ms > wait_ms + 500 ? "late"
                                     : "in time");
    pthread_join(other, NULL);
    semctl(semaphores, 0, IPC_RMID);
    msgctl(messages, IPC_RMID, NULL);
    return 0;
}
