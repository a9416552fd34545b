/* Prints as JSON everything that a program can see of how it was started. Texts are in hex: argv
 * and the environment need not be UTF-8. Files of /proc are included completely, for the reader to
 * interpret. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

extern char **environ;
static FILE *out;

static void hex(const char *text) {
    fputc('"', out);
    for (; *text; text++)
        fprintf(out, "%02x", (unsigned char)*text);
    fputc('"', out);
}

static void hex_list(const char *name, char **words) {
    fprintf(out, "\"%s\": [", name);
    for (char **word = words; *word; word++) {
        if (word != words)
            fputs(", ", out);
        hex(*word);
    }
    fputs("],\n", out);
}

static void number(const char *name, long value) {
    fprintf(out, "\"%s\": %ld,\n", name, value);
}

static void descriptors(int ours) {
    fputs("\"descriptors\": [", out);
    const char *separator = "";
    for (int fd = 0; fd < 1024; fd++) {
        int flags = fcntl(fd, F_GETFD);
        if (flags < 0 || fd == ours)
            continue;
        char name[64], target[4096] = "";
        snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
        ssize_t length = readlink(name, target, sizeof target - 1);
        target[length > 0 ? length : 0] = '\0';
        fprintf(out, "%s[%d, %d, %d, ", separator, fd, flags, fcntl(fd, F_GETFL));
        hex(target);
        fputs("]", out);
        separator = ", ";
    }
    fputs("],\n", out);
}

static void file(const char *name, const char *path) {
    char text[65536];
    FILE *stream = fopen(path, "re");
    size_t length = stream ? fread(text, 1, sizeof text - 1, stream) : 0;
    if (stream)
        fclose(stream);
    text[length] = '\0';
    fprintf(out, "\"%s\": ", name);
    hex(text);
    fputs(",\n", out);
}

int main(int argc, char **argv) {
    /* The result goes to the file in the first argument, so that stdout can be examined, and be
     * closed. */
    const char *path = argc > 1 ? argv[1] : "/dev/stdout";
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    /* Away from the examined descriptors, as high as the limit allows. */
    long limit = sysconf(_SC_OPEN_MAX);
    int high = fcntl(fd, F_DUPFD_CLOEXEC, limit < 1024 ? limit - 1 : 1023);
    close(fd);
    out = fdopen(high, "w");
    if (!out)
        return 99;
    fputs("{", out);
    number("pid", getpid());
    number("ppid", getppid());
    number("sid", getsid(0));
    number("pgid", getpgid(0));
    number("argc", argc);
    hex_list("argv", argv);
    hex_list("environment", environ);
    char cwd[4096];
    if (!getcwd(cwd, sizeof cwd))
        snprintf(cwd, sizeof cwd, "errno %d", errno);
    fputs("\"cwd\": ", out);
    hex(cwd);
    fputs(",\n", out);
    mode_t mask = umask(0);
    number("umask", mask);
    descriptors(fileno(out));
    sigset_t pending;
    sigpending(&pending);
    for (int i = 1; i < 65; i++) {
        struct sigaction action;
        /* The kernel's own call: libc hides its internal signals. */
        unsigned long kernel_action[4] = {0};
        if (syscall(SYS_rt_sigaction, i, NULL, kernel_action, 8L) == 0)
            memcpy(&action, kernel_action, 8);
        fprintf(out, "\"signal %d\": [%lu, %d],\n", i, kernel_action[0], sigismember(&pending, i));
    }
    for (int i = 0; i < RLIM_NLIMITS; i++) {
        struct rlimit limit = {0};
        getrlimit((__rlimit_resource_t)i, &limit);
        fprintf(out, "\"limit %d\": [%llu, %llu],\n", i, (unsigned long long)limit.rlim_cur,
                (unsigned long long)limit.rlim_max);
    }
    for (int i = 0; i < 3; i++) {
        struct itimerval timer;
        getitimer((__itimer_which_t)i, &timer);
        fprintf(out, "\"timer %d\": [%ld, %d],\n", i, timer.it_interval.tv_sec,
                timer.it_value.tv_sec > 0);
    }
    number("nice", getpriority(PRIO_PROCESS, 0));
    number("scheduler", sched_getscheduler(0));
    number("ioprio", syscall(SYS_ioprio_get, 1, 0));
    number("personality", personality(0xffffffff));
    int value = -1;
    prctl(PR_GET_PDEATHSIG, &value);
    number("pdeathsig", value);
    prctl(PR_GET_CHILD_SUBREAPER, &value);
    number("subreaper", value);
    number("dumpable", prctl(PR_GET_DUMPABLE));
    number("keepcaps", prctl(PR_GET_KEEPCAPS));
    number("securebits", prctl(PR_GET_SECUREBITS));
    number("timerslack", prctl(PR_GET_TIMERSLACK));
    number("thp_disable", prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
    number("merge", prctl(68, 0, 0, 0, 0));
    number("secure", (long)getauxval(AT_SECURE));
    number("uid", getuid());
    number("euid", geteuid());
    number("gid", getgid());
    number("egid", getegid());
    struct rusage children;
    getrusage(RUSAGE_CHILDREN, &children);
    number("children_faults", children.ru_minflt);
    fputs("\"execfn\": ", out);
    hex((const char *)getauxval(AT_EXECFN));
    fputs(",\n", out);
    file("status", "/proc/self/status");
    file("stat", "/proc/self/stat");
    file("cgroup", "/proc/self/cgroup");
    file("comm", "/proc/self/comm");
    file("cmdline", "/proc/self/cmdline");
    file("oom_score_adj", "/proc/self/oom_score_adj");
    file("coredump_filter", "/proc/self/coredump_filter");
    file("children", "/proc/thread-self/children");
    fputs("\"end\": 0}\n", out);
    return fclose(out) == 0 ? 0 : 98;
}
