/* calls AREA: makes system calls of that area as the manual pages have them, wrong ones too, and
 * prints what each answers. What differs from run to run (PIDs, addresses) is not printed. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "calls.h"

enum { PAGE = 4096, NOBODY = 65534 };

void tell(const char *what, long result) {
    printf("%s: %ld %s\n", what, result, result == -1 ? strerrorname_np(errno) : "");
    fflush(stdout);
}
void in_child(const char *what, int (*run)(void)) {
    int status = 0;
    pid_t child = fork();
    if (child == 0)
        _exit(run());
    tell(what, waitpid(child, &status, 0) == child ? status : -1);
}

static volatile sig_atomic_t caught;
static void catch (int number) {
    caught = number;
}

static int killed(void) {
    return raise(SIGTERM);
}

static int on_other_stack(void) {
    static char stack[64 * 1024];
    const stack_t other = {.ss_sp = stack, .ss_size = sizeof stack};
    const struct sigaction action = {.sa_handler = catch, .sa_flags = SA_ONSTACK | SA_RESETHAND};
    if (sigaltstack(&other, NULL) != 0 || sigaction(SIGSEGV, &action, NULL) != 0)
        return 1;
    raise(SIGSEGV);
    return caught == SIGSEGV ? 0 : 2;
}

static void signals(void) {
    sigset_t set, pending;
    struct sigaction action = {.sa_handler = catch};
    const struct timespec none = {0, 0};
    TELL(sigaction(SIGKILL, &action, NULL));
    TELL(sigaction(SIGUSR1, &action, NULL));
    TELL(kill(getpid(), 0));
    TELL(kill(getpid(), 999));
    TELL(kill(getpid(), SIGUSR1));
    printf("caught %d\n", caught);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    TELL(sigprocmask(SIG_BLOCK, &set, NULL));
    TELL(sigprocmask(77, &set, NULL));
    TELL(sigtimedwait(&set, NULL, &none));
    TELL(tgkill(getpid(), gettid(), SIGUSR1));
    TELL(sigpending(&pending));
    TELL(sigismember(&pending, SIGUSR1));
    TELL(sigtimedwait(&set, NULL, &none));
    TELL(tgkill(getpid(), 1 << 30, SIGUSR1));
    TELL(syscall(SYS_rt_sigaction, SIGUSR2, NULL, NULL, 3));
    in_child("killed", killed);
    in_child("on another stack", on_other_stack);
}

static int ends(void) {
    return 7;
}
static int executes(void) {
    return execl("/bin/sh", "sh", "-c", "exit 9", NULL);
}
static int executes_what_is_none(void) {
    return execl("/dev/null", "null", NULL) == -1 ? errno : 0;
}
static int leaves_orphan(void) {
    return fork() < 0;
}

static void processes(void) {
    int status;
    siginfo_t info = {0};
    TELL(wait(&status));
    TELL(waitpid(-1, &status, 1 << 20));
    in_child("ends", ends);
    in_child("executes", executes);
    in_child("executes what is none", executes_what_is_none);
    in_child("leaves an orphan", leaves_orphan);
    pid_t child = vfork();
    if (child == 0)
        _exit(3);
    TELL(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT));
    printf("waitid %d %d\n", info.si_code, info.si_status);
    TELL_IF(waitpid(child, &status, 0));
    TELL(waitid(P_PID, (id_t)child, &info, WEXITED));
    TELL(setpgid(1 << 30, 0));
    TELL(system("exit 4"));
}

static int reads_forbidden(void) {
    char *area = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return area[0];
}

static void memory(void) {
    char *area = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    unsigned char seen[8];
    memset(area, 1, 8 * PAGE);
    TELL_IF(mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    TELL_IF(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, -1, 0));
    TELL_IF(mmap(area + 1, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
    TELL_IF(mmap(area, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0));
    TELL(mprotect(area + 1, PAGE, PROT_READ));
    TELL(mprotect(area, PAGE, PROT_READ));
    TELL_IF(mremap(area + 4 * PAGE, 4 * PAGE, 64 * PAGE, MREMAP_MAYMOVE));
    TELL_IF(mremap(area + 4 * PAGE, PAGE, 2 * PAGE, 0));
    TELL(munmap(area + 1, PAGE));
    TELL(madvise(area, 4 * PAGE, MADV_DONTNEED));
    TELL(madvise(area + 1, PAGE, MADV_NORMAL));
    TELL(madvise(area, PAGE, 12345));
    TELL(madvise(area, PAGE, MADV_SEQUENTIAL));
    TELL(madvise(area, 4 * PAGE, MADV_UNMERGEABLE));
    TELL(mincore(area, 4 * PAGE, seen));
    TELL(mincore(area + 1, PAGE, seen));
    TELL(msync(area, PAGE, MS_SYNC | MS_ASYNC));
    TELL(mlock(area, PAGE));
    TELL(munlock(area, PAGE));
    void *top = sbrk(0);
    TELL_IF(sbrk(5 * PAGE));
    printf("grown by %ld\n", (char *)sbrk(0) - (char *)top);
    TELL(brk(top));
    TELL(brk((void *)1));
    in_child("reads what is forbidden", reads_forbidden);
}

static void controls(void) {
    char name[17] = "";
    TELL(prctl(PR_SET_NAME, "a-name-that-is-too-long"));
    TELL(prctl(PR_GET_NAME, name));
    puts(name);
    TELL(prctl(PR_GET_DUMPABLE));
    TELL(prctl(PR_SET_DUMPABLE, 5));
    TELL(prctl(PR_SET_PDEATHSIG, 999));
    TELL(prctl(PR_GET_KEEPCAPS));
    TELL(prctl(PR_CAPBSET_READ, 999));
    TELL(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    TELL(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 5));
    TELL(prctl(PR_SET_TIMERSLACK, 70000));
    TELL(prctl(PR_GET_TIMERSLACK));
    TELL(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
    TELL(prctl(999999));
}

static int is_traced(void) {
    long request = ptrace(PTRACE_TRACEME, 0, NULL, NULL);
    raise(SIGSTOP);
    return request == 0 ? 5 : 6;
}

static void tracing(void) {
    int status = 0;
    TELL(ptrace(PTRACE_ATTACH, 1 << 30, NULL, NULL));
    TELL(ptrace(PTRACE_CONT, getpid(), NULL, NULL));
    pid_t child = fork();
    if (child == 0)
        _exit(is_traced());
    waitpid(child, &status, 0);
    printf("stopped %d\n", WIFSTOPPED(status) ? WSTOPSIG(status) : -1);
    TELL(ptrace(PTRACE_SETOPTIONS, child, NULL, (void *)(1L << 40)));
    TELL(ptrace(PTRACE_SETOPTIONS, child, NULL, PTRACE_O_TRACEEXIT));
    TELL(ptrace(PTRACE_CONT, child, NULL, NULL));
    waitpid(child, &status, 0);
    printf("event %d\n", status >> 16);
    TELL(ptrace(PTRACE_DETACH, child, NULL, NULL));
    waitpid(child, &status, 0);
    printf("ended %d\n", WEXITSTATUS(status));
}

static int strict(void) {
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0)
        return 1;
    syscall(SYS_exit, 5);
    return 2;
}
static int strict_then_more(void) {
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0)
        return 1;
    return (int)syscall(SYS_getpid);
}
/* All but these end it: write, exit, exit_group. */
static int narrow(void) {
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_write, 3, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0)
        return 1;
    return write(STDOUT_FILENO, "", 0) == 0 ? 8 : 2;
}

static void filters(void) {
    TELL(prctl(PR_GET_SECCOMP));
    TELL(prctl(PR_SET_SECCOMP, 77));
    TELL(syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 1, NULL));
    TELL(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 1 << 30, NULL));
    in_child("strict", strict);
    in_child("strict, then another call", strict_then_more);
    in_child("narrow", narrow);
}

static int priorities_of_nobody(void) {
    if (setpgid(0, 0) != 0 || setresuid(NOBODY, NOBODY, NOBODY) != 0)
        return 1;
    TELL(setpriority(PRIO_PROCESS, 0, -5));
    TELL(setpriority(PRIO_PGRP, 0, -5));
    TELL(setpriority(PRIO_PGRP, 0, 6));
    TELL(getpriority(PRIO_PGRP, 0));
    TELL(nice(-20));
    TELL(nice(1));
    const struct sched_param fifo = {.sched_priority = 5};
    TELL(sched_setscheduler(0, SCHED_FIFO, &fifo));
    return 0;
}

static void priorities(void) {
    cpu_set_t none;
    CPU_ZERO(&none);
    TELL(setpriority(77, 0, 0));
    TELL(setpriority(PRIO_PROCESS, 1 << 30, 0));
    TELL(getpriority(PRIO_PROCESS, 0));
    TELL(sched_setaffinity(0, sizeof none, &none));
    TELL(sched_getscheduler(0));
    /* Not in a child, which has no thread of the shim yet. */
    tell("of nobody", priorities_of_nobody());
}

static int run_in_clone(void *unused) {
    (void)unused;
    return 6;
}

static void clones(void) {
    static char stack[64 * 1024];
    int status = 0;
    pid_t child = clone(run_in_clone, stack + sizeof stack, SIGCHLD, NULL);
    TELL_IF(waitpid(child, &status, 0));
    printf("%d\n", WEXITSTATUS(status));
    child = clone(run_in_clone, stack + sizeof stack, CLONE_VM | CLONE_FILES | SIGCHLD, NULL);
    TELL_IF(waitpid(child, &status, 0));
    child = clone(run_in_clone, stack + sizeof stack, CLONE_VM, NULL);
    TELL(waitpid(child, &status, WNOHANG));
    TELL_IF(waitpid(child, &status, __WCLONE));
    TELL(clone(run_in_clone, stack + sizeof stack, CLONE_SIGHAND, NULL));
    TELL(clone(run_in_clone, stack + sizeof stack, CLONE_THREAD, NULL));
    TELL(clone(run_in_clone, stack + sizeof stack, CLONE_NEWNS | CLONE_FS, NULL));
    TELL(unshare(CLONE_NEWUSER | CLONE_FS));
    TELL(unshare(1));
    TELL(setns(0, 0));
    /* As init of a namespace of its own. */
    TELL(unshare(CLONE_NEWPID));
    in_child("ends", ends);
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        void (*run)(void);
    } areas[] = {{"signals", signals},     {"processes", processes}, {"memory", memory},
                 {"prctl", controls},      {"ptrace", tracing},      {"seccomp", filters},
                 {"priority", priorities}, {"locks", locks},         {"futex", futexes},
                 {"pipes", pipes},         {"polling", polling},     {"clone", clones},
                 {"limits", limits}};
    for (size_t i = 0; i < sizeof areas / sizeof *areas; i++) {
        if (argc != 2 || strcmp(argv[1], areas[i].name) != 0)
            continue;
        areas[i].run();
        puts("end");
        return 0;
    }
    return 2;
}
