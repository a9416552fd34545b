/* sweep WHAT: a program whose memory the shim marks, and which does WHAT to it. Prints "ready" when
 * done and waits for the end of stdin; or exits with its result. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MIB = 1 << 20, PAGE = 4096 };

static char *take(size_t bytes) {
    char *area = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (area == MAP_FAILED)
        exit(90);
    memset(area, 1, bytes);
    return area;
}

/* musl has no sbrk. */
static char *extend(size_t bytes) {
    char *end = (char *)syscall(SYS_brk, 0);
    if ((char *)syscall(SYS_brk, end + bytes) != end + bytes)
        exit(89);
    return end;
}

static void say_ready(void) {
    puts("ready");
    fflush(stdout);
    while (getchar() != EOF)
        continue;
}

/* Steps of brk and mmap as allocators make them, with holes and changed protections between. */
static void grow(unsigned seed, int steps) {
    srand(seed);
    char *last = take(MIB);
    for (int step = 0; step < steps; step++) {
        size_t bytes = (size_t)(1 + rand() % 64) * PAGE;
        switch (rand() % 6) {
        case 0:
        case 1:
            memset(extend(bytes), 2, bytes);
            break;
        case 2:
        case 3:
            last = take(bytes);
            break;
        case 4:
            mprotect(last, PAGE, rand() % 2 ? PROT_READ : PROT_READ | PROT_WRITE);
            break;
        case 5:
            munmap(last, PAGE);
            break;
        }
        if (step % 100 == 0)
            usleep(20 * 1000);
    }
}

/* Small mallocs of every size, many threads, as a server does. */
static void *serve(void *unused) {
    for (int i = 0; i < 2000; i++)
        memset(malloc((size_t)(i * 7 % 9000) + 1), 3, (size_t)(i * 7 % 9000) + 1);
    pthread_barrier_wait(unused);
    return unused;
}

static void threads(void) {
    static pthread_barrier_t barrier;
    pthread_barrier_init(&barrier, NULL, 17);
    for (int i = 0; i < 16; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, serve, &barrier) != 0)
            exit(91);
    }
    pthread_barrier_wait(&barrier);
}

static void set_filter(const struct sock_filter *code, unsigned short length, int tsync) {
    struct sock_fprog program = {length, (struct sock_filter *)code};
    prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L);
    unsigned long flags = tsync ? SECCOMP_FILTER_FLAG_TSYNC : 0;
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program) != 0) {
        perror("seccomp");
        exit(92);
    }
}

#define LOAD BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0)
#define RETURN(value) BPF_STMT(BPF_RET | BPF_K, value)
#define KILL_ON(number)                                                                            \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), RETURN(SECCOMP_RET_KILL_PROCESS)

/* Runs with the ends of the threads below, and returns the status of a child forked now. */
static int child_status(unsigned milliseconds) {
    pid_t child = fork();
    if (child == 0) {
        usleep(milliseconds * 1000);
        _exit(0);
    }
    int status = -1;
    waitpid(child, &status, 0);
    return status;
}

/* Number of children that have just given up root and find a thread of their own that could still
 * be misused; it has the TID after the child's. */
static int unconfined_children(int count) {
    int found = 0;
    for (int i = 0; i < count; i++) {
        pid_t child = fork();
        if (child == 0) {
            char path[64], line[256];
            if (setgid(65534) != 0 || setuid(65534) != 0)
                _exit(2);
            snprintf(path, sizeof path, "/proc/self/task/%d/status", getpid() + 1);
            FILE *status = fopen(path, "re");
            int is_open = 0;
            while (status && fgets(line, sizeof line, status))
                is_open |= strncmp(line, "Seccomp:\t0", 10) == 0;
            _exit(is_open);
        }
        int status;
        waitpid(child, &status, 0);
        found += WEXITSTATUS(status) == 1;
    }
    return found;
}

static void *end_last(void *unused) {
    usleep(300 * 1000);
    return unused;
}

static void *read_forever(void *ends) {
    char byte;
    while (read(*(int *)ends, &byte, 1) <= 0)
        continue;
    return NULL;
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "";
    if (strcmp(what, "grow") == 0) {
        grow((unsigned)atoi(argv[2]), 1000);
    } else if (strcmp(what, "brk") == 0) {
        for (int step = 0; step < 10000; step++)
            memset(extend(132 * 1024), 2, PAGE);
    } else if (strcmp(what, "threads") == 0) {
        threads();
    } else if (strcmp(what, "hold") == 0) {
        take(atoi(argv[2]) * (size_t)MIB);
    } else if (strcmp(what, "unmergeable") == 0) {
        /* The second and the third part touch the first: nothing of this VMA may be marked. */
        char *area = take(3 * MIB);
        if (madvise(area + MIB, MIB, MADV_UNMERGEABLE) != 0)
            return 93;
        printf("%lx\n", (unsigned long)area);
    } else if (strcmp(what, "kill-filter") == 0 || strcmp(what, "kill-filter-tsync") == 0) {
        /* It would kill the sweeper, and with it the program. */
        const struct sock_filter code[] = {LOAD, KILL_ON(SYS_madvise), KILL_ON(SYS_pread64),
                                           RETURN(SECCOMP_RET_ALLOW)};
        set_filter(code, sizeof code / sizeof *code, strcmp(what, "kill-filter") != 0);
        take(8 * MIB);
        usleep(900 * 1000);
        pid_t child = fork();
        if (child == 0) {
            usleep(500 * 1000);
            _exit(0);
        }
        int status;
        waitpid(child, &status, 0);
        return status == 0 ? 0 : 94;
    } else if (strcmp(what, "allow-filter-tsync") == 0) {
        const struct sock_filter code[] = {LOAD, KILL_ON(SYS_setns), RETURN(SECCOMP_RET_ALLOW)};
        set_filter(code, sizeof code / sizeof *code, 1);
        set_filter(code, sizeof code / sizeof *code, 1);
        take(8 * MIB);
    } else if (strcmp(what, "unshare") == 0) {
        for (int i = 0; i < 20; i++)
            if ((i == 0 && unshare(CLONE_NEWUSER) != 0) || syscall(SYS_unshare, CLONE_NEWNS) != 0) {
                perror("unshare");
                return 95;
            }
        take(8 * MIB);
    } else if (strcmp(what, "last-thread") == 0) {
        /* The process ends with its last thread: libc does not count the sweeper. */
        pthread_t thread;
        pthread_create(&thread, NULL, end_last, NULL);
        pthread_exit(NULL);
    } else if (strcmp(what, "forks") == 0) {
        for (int i = 0; i < atoi(argv[2]); i++) {
            pid_t child = fork();
            if (child == 0)
                _exit(i % 7);
            int status;
            if (child < 0 || waitpid(child, &status, 0) != child || WEXITSTATUS(status) != i % 7)
                return 96;
        }
        return 0;
    } else if (strcmp(what, "quiet-child") == 0) {
        /* Lives longer than a sweeper waits before its first sweep, and never grows. */
        pid_t child = fork();
        if (child == 0) {
            for (int i = 0; i < 50; i++)
                if (poll(NULL, 0, 10) != 0)
                    _exit(1);
            _exit(0);
        }
        int status = -1;
        waitpid(child, &status, 0);
        return status;
    } else if (strcmp(what, "grown-child") == 0) {
        /* By malloc only, as most programs do. The process that continues is the child. */
        if (fork() != 0)
            _exit(0);
        char *held = malloc(8 * MIB);
        memset(held, 1, 8 * MIB);
        printf("%d\n", getpid());
    } else if (strcmp(what, "strict-child") == 0) {
        /* A child whose memory has grown, and which may then only read, write and end. */
        pid_t child = fork();
        if (child == 0) {
            memset(malloc(8 * MIB), 1, 8 * MIB);
            prctl(PR_SET_SECCOMP, 1L, 0L, 0L, 0L);
            syscall(SYS_exit, write(STDOUT_FILENO, "", 0) == 0 ? 7 : 8);
        }
        int status = -1;
        waitpid(child, &status, 0);
        return WIFEXITED(status) && WEXITSTATUS(status) == 7 ? 0 : 86;
    } else if (strcmp(what, "strict") == 0) {
        prctl(PR_SET_SECCOMP, 1L, 0L, 0L, 0L);
        syscall(SYS_exit, 7);
    } else if (strcmp(what, "cancel-child") == 0) {
        /* A forwarded call stays a cancellation point. */
        if (fork() != 0) {
            int status = -1;
            wait(&status);
            return status;
        }
        pthread_t thread;
        int ends[2];
        if (pipe(ends) != 0 || pthread_create(&thread, NULL, read_forever, ends) != 0)
            return 85;
        void *result = NULL;
        pthread_cancel(thread);
        pthread_join(thread, &result);
        _exit(result == PTHREAD_CANCELED ? 0 : 84);
    } else if (strcmp(what, "raw-exit") == 0) {
        usleep(200 * 1000);
        syscall(SYS_exit, 0);
    } else if (strcmp(what, "raw-exit-code") == 0) {
        usleep(200 * 1000);
        syscall(SYS_exit, 7);
    } else if (strcmp(what, "privilege") == 0) {
        return unconfined_children(200);
    } else if (strcmp(what, "mremap") == 0) {
        char *area = take(4 * MIB);
        sleep(1);
        return mremap(area, 4 * MIB, 16 * MIB, MREMAP_MAYMOVE) == MAP_FAILED ? 88 : 0;
    } else if (strcmp(what, "kill-tgkill-then-tsync") == 0) {
        usleep(50 * 1000);
        const struct sock_filter first[] = {LOAD, KILL_ON(SYS_tgkill), KILL_ON(SYS_futex),
                                            RETURN(SECCOMP_RET_ALLOW)};
        const struct sock_filter second[] = {RETURN(SECCOMP_RET_ALLOW)};
        set_filter(first, sizeof first / sizeof *first, 0);
        set_filter(second, 1, 1);
        return child_status(1);
    } else if (strcmp(what, "listener") == 0) {
        const struct sock_filter code[] = {LOAD, KILL_ON(SYS_capset), RETURN(SECCOMP_RET_ALLOW)};
        struct sock_fprog program = {sizeof code / sizeof *code, (struct sock_filter *)code};
        prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L);
        if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
                    &program) < 0)
            return 87;
        return child_status(300);
    } else if (strcmp(what, "child-of-raw-clone") == 0) {
        /* In a PID namespace its PID may be the parent's. */
        usleep(50 * 1000);
        pid_t child = (pid_t)syscall(SYS_clone, (long)SIGCHLD | CLONE_NEWPID, 0L, 0L, 0L, 0L);
        if (child == 0)
            _exit(unshare(CLONE_NEWUSER) != 0);
        int status = -1;
        waitpid(child, &status, 0);
        return status;
    } else if (strcmp(what, "generations") == 0) {
        /* Each is the previous one's child; the last one holds memory. */
        for (int i = 0; i < 5; i++)
            if (fork() != 0)
                _exit(0);
        printf("%d\n", getpid());
        take(8 * MIB);
    } else {
        return 97;
    }
    say_ready();
    return 0;
}
