#include "observer.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "../common/child.h"
#include "../common/descriptors.h"
#include "../common/merge.h"
#include "../common/message.h"
#include "../common/procfile.h"
#include "../layout/key.h"
#include "../layout/membership.h"
#include "inject_flag.h"

#ifndef PR_SET_PTRACER
#define PR_SET_PTRACER 0x59616d61
#endif

enum flag { FLAG_SET, FLAG_LOST, FLAG_UNREADABLE, FLAG_GONE };

/* ksmd may drop the flag of a program whose memory is still empty, until 590c03ca6a3f (6.12.64,
 * 6.18.3, 6.19): so check again when the program has some. */
static const struct timespec second_look = {.tv_nsec = 200 * 1000 * 1000};
/* Before 6.14 only the flags of the first mappings show it, and those take a moment to appear. */
static const struct timespec between_looks = {.tv_nsec = 2 * 1000 * 1000};
enum { LOOKS_MAX = 100, LATE_LOOKS_MAX = 1000 };
/* A sweeper starts after 0.1 s, and repeats each 0.25 s while the program grows. */
static const struct timespec between_rounds = {.tv_nsec = 100 * 1000 * 1000};
enum { ROUNDS_MAX = 30 };

/* ESRCH: the process is gone. Empty: a zombie, which has no memory any more. */
static enum flag flag_of_error(ssize_t length) {
    return length == 0 || length == -ESRCH ? FLAG_GONE : FLAG_UNREADABLE;
}

/* VmFlags of the first mappings that KSM accepts; the first 64 KiB of smaps contain about 60 of
 * them. The initial stack is the only one that an exec leaves unmarked. */
static enum flag flag_in_smaps(int process, int looks_max) {
    static char smaps[65536];
    for (int look = 0; look < looks_max; look++) {
        ssize_t length = procfile_read_at(process, "smaps", smaps, sizeof smaps);
        if (length <= 0)
            return flag_of_error(length);
        for (char *line = strstr(smaps, "\nVmFlags:"); line; line = strstr(line, "\nVmFlags:")) {
            line++;
            char *end = strchr(line, '\n');
            char *mark = strstr(line, " mg");
            if (end != NULL && mark != NULL && mark < end)
                return FLAG_SET;
        }
        nanosleep(&between_looks, NULL);
    }
    return FLAG_LOST;
}

static enum flag flag_of(int process) {
    char ksm_stat[1024];
    ssize_t length = procfile_read_at(process, "ksm_stat", ksm_stat, sizeof ksm_stat);
    if (length == 0 || length == -ESRCH)
        return FLAG_GONE;
    /* ksm_merge_any exists since 6.14. */
    if (length > 0 && strstr(ksm_stat, "ksm_merge_any: yes") != NULL)
        return FLAG_SET;
    if (length > 0 && strstr(ksm_stat, "ksm_merge_any: no") != NULL)
        return FLAG_LOST;
    /* Permission denied, or out of memory: smaps would fail in the same way. */
    if (length == -EACCES || length == -EPERM)
        return FLAG_UNREADABLE;
    return flag_in_smaps(process, LOOKS_MAX);
}

/* The mark of any one mapping; ksm_mergeable covers all, since 6.14. */
static enum flag marks_of(int process) {
    char ksm_stat[1024];
    ssize_t length = procfile_read_at(process, "ksm_stat", ksm_stat, sizeof ksm_stat);
    if (length > 0 && strstr(ksm_stat, "ksm_mergeable: yes") != NULL)
        return FLAG_SET;
    return flag_in_smaps(process, 1);
}

static enum flag await(int process, enum expected expected) {
    if (expected == EXPECTED_MARKS) {
        enum flag marks = FLAG_LOST;
        for (int round = 0; marks == FLAG_LOST && round < ROUNDS_MAX; round++) {
            nanosleep(&between_rounds, NULL);
            marks = marks_of(process);
        }
        return marks;
    }
    enum flag flag = flag_of(process);
    for (int look = 0; expected == EXPECTED_FLAG_LATE && flag == FLAG_LOST && look < LATE_LOOKS_MAX;
         look++) {
        nanosleep(&between_looks, NULL);
        flag = flag_of(process);
    }
    if (flag == FLAG_SET) {
        nanosleep(&second_look, NULL);
        enum flag again = flag_of(process);
        flag = again == FLAG_GONE ? FLAG_SET : again;
    }
    return flag;
}

static void report_marks(enum flag marks, pid_t pid, const char *command, bool quiet) {
    if (marks == FLAG_LOST)
        message("PID %d (%s) runs, but the shim marked no memory within 3 seconds: the program has "
                "too little, or ld.so did not load the shim; check again with `sudo ksmrun ps`",
                pid, command);
    else if (!quiet)
        message("verified: PID %d (%s) has memory marked for merging", pid, command);
}

static void report(enum flag flag, pid_t pid, const char *command, bool quiet) {
    struct utsname kernel;
    const char *release = uname(&kernel) == 0 ? kernel.release : "";
    switch (flag) {
    case FLAG_SET:
        if (release_never_scans(release))
            message("PID %d (%s) has the merge flag, but this kernel (%s) may never scan it: 6.7 "
                    "to 6.8.11 and 6.9.0 to 6.9.2 do not scan a program started with the flag; "
                    "watch `ksmrun ps`, and boot Linux 6.12 or later if nothing merges",
                    pid, command, release);
        else if (!quiet)
            message("verified: PID %d (%s) has the merge flag after the exec", pid, command);
        break;
    case FLAG_LOST:
        message(
            "PID %d (%s) runs, but the merge flag was lost at exec: Linux 6.4 to 6.6 always lose "
            "it, and other releases before 6.12.64 and 6.18.3 in a rare race (this is %s); "
            "start it again, and boot 6.12.64, 6.18.3 or later if that does not help",
            pid, command, release);
        break;
    case FLAG_UNREADABLE:
        message("cannot verify PID %d (%s): its /proc files are not readable by this user (a "
                "setuid or unreadable program, or another namespace); check with `sudo ksmrun ps`",
                pid, command);
        break;
    case FLAG_GONE:
        message("cannot verify PID %d (%s): it ended before it could be checked; verify a program "
                "that runs longer",
                pid, command);
        break;
    }
}

/* For this process the exec is over before the program is moved, so it is checked repeatedly: while
 * that is done, its stack has no name. */
static void report_layout(pid_t pid, const struct observation *observation) {
    enum { STEP_MS = 10, STEPS_MAX = 100 };
    unsigned char key[KEY_BYTES];
    char reason[REASON_BYTES];
    const struct timespec step = {.tv_nsec = STEP_MS * 1000000L};
    enum membership found = MEMBER_UNKNOWN;
    prctl(PR_SET_DUMPABLE, 0L, 0L, 0L, 0L);
    if (key_read(observation->layout_key, observation->layout_group, key, reason) != 0) {
        message("cannot verify the layout of PID %d: %s", pid, reason);
        return;
    }
    const struct machine machine = machine_here();
    struct last_program last = {.is_known = false};
    for (int i = 0; i < STEPS_MAX && found != MEMBER; i++) {
        if (i > 0)
            nanosleep(&step, NULL);
        found = membership_of(pid, &machine, key, &last);
    }
    explicit_bzero(key, sizeof key);
    if (found == MEMBER_UNKNOWN)
        message("cannot verify the layout of PID %d (%s): its maps cannot be read, or it has "
                "ended; check with `sudo ksmrun ps`",
                pid, observation->command);
    else if (found == NO_MEMBER)
        message("PID %d (%s) does not have the shared layout; if it is a wrapper, check the "
                "program that it starts with `ksmrun ps`",
                pid, observation->command);
    else if (!observation->quiet)
        message("verified: PID %d (%s) has the shared layout of its group", pid,
                observation->command);
}

_Noreturn static void observe(int process, int exec_pipe, pid_t pid,
                              const struct observation *observation) {
    int error;
    setsid();
    if (observation->has_domain)
        (void)merge_set(false, &error);
    descriptors_close_all_but(process, exec_pipe);
    char byte;
    ssize_t length;
    do {
        length = read(exec_pipe, &byte, 1);
    } while (length < 0 && errno == EINTR);
    /* A byte: the exec failed. End of file: close-on-exec closed it, with the new memory already in
     * place (fs/exec.c: exec_mmap comes before do_close_on_exec). */
    if (length != 0)
        _exit(0);
    if (observation->injects &&
        !inject_flag(process, pid, observation->command, observation->quiet))
        _exit(0);
    if (!observation->verifies)
        _exit(0);
    enum expected expected = observation->expected;
    enum flag flag = await(process, expected);
    if (expected == EXPECTED_MARKS && (flag == FLAG_SET || flag == FLAG_LOST))
        report_marks(flag, pid, observation->command, observation->quiet);
    else
        report(flag, pid, observation->command, observation->quiet);
    if (observation->layout_key != NULL && flag != FLAG_GONE)
        report_layout(pid, observation);
    _exit(0);
}

/* Yama lets only the process that the program names, and its descendants, trace it; that persists
 * over an exec (security/yama/yama_lsm.c). */
static void allow_tracing(int told) {
    pid_t observer;
    if (read(told, &observer, sizeof observer) == sizeof observer)
        prctl(PR_SET_PTRACER, (unsigned long)observer, 0L, 0L, 0L);
}

int observer_start(const struct observation *observation) {
    const char *verb = observation->injects ? "set the merge flag after the exec" : "verify";
    if (child_adopts_orphans()) {
        if (!observation->quiet)
            message("cannot %s: as PID 1 or a subreaper, this process would become the parent of "
                    "the helper; check with `sudo ksmrun ps` on the host",
                    verb);
        return -1;
    }
    if (child_would_be_init()) {
        message("cannot %s: the helper would be the first process of the new PID namespace, which "
                "ends with it; use `unshare --fork`, or check with `sudo ksmrun ps`",
                verb);
        return -1;
    }
    int ends[2], told[2];
    /* Held by a descriptor, so that a reused PID cannot be mistaken for ours. */
    int process = descriptor_above_stdio(open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (process < 0) {
        message("cannot %s: /proc/self: %s; %s", verb, strerror(-process),
                process == -EMFILE ? "raise the limit of open files (ulimit -n)"
                                   : "mount /proc, or check with `sudo ksmrun ps` on the host");
        return -1;
    }
    if (pipe2(ends, O_CLOEXEC) != 0) {
        message("cannot %s: pipe: %s; raise the limit of open files (ulimit -n)", verb,
                strerror(errno));
        close(process);
        return -1;
    }
    int reader = descriptor_above_stdio(ends[0]);
    int writer = descriptor_above_stdio(ends[1]);
    bool tells = observation->injects && pipe2(told, O_CLOEXEC) == 0;
    pid_t pid = getpid();
    pid_t middle = reader < 0 || writer < 0 ? -1 : child_fork();
    if (middle == 0) {
        close(writer);
        pid_t observer = child_fork();
        if (observer == 0)
            observe(process, reader, pid, observation);
        bool is_told = !tells || write(told[1], &observer, sizeof observer) == sizeof observer;
        _exit(observer < 0 || !is_told ? 1 : 0);
    }
    bool is_started = middle > 0 && child_wait(middle) == 0;
    if (tells) {
        close(told[1]);
        if (is_started)
            allow_tracing(told[0]);
        close(told[0]);
    }
    close(process);
    /* The read end stays open here until the exec closes it: a write after the observer was killed
     * then raises no SIGPIPE. */
    if (is_started)
        return writer;
    message("cannot %s: the helper cannot be started; raise the limit of processes (ulimit -u) or "
            "of open files (ulimit -n)",
            verb);
    if (reader >= 0)
        close(reader);
    if (writer >= 0)
        close(writer);
    return -1;
}

void observer_cancel(int observer) {
    if (observer < 0)
        return;
    ssize_t ignored = write(observer, "x", 1);
    (void)ignored;
    close(observer);
}
