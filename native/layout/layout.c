#include "layout.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../exec/child.h"
#include "../exec/merge.h"
#include "../exec/procfile.h"
#include "mover.h"
#include "relocate.h"
#include "sha256.h"
#include "target.h"

#ifndef PR_SET_PTRACER
#define PR_SET_PTRACER 0x59616d61
#endif

/* arch/x86/mm/mmap.c: the mmap area begins the stack limit and the guard gap below this. */
static const uint64_t task_size = 0x7ffffffff000, stack_guard_gap = 1 << 20;

__attribute__((format(printf, 2, 3))) static int refuse(char reason[LAYOUT_REASON_BYTES],
                                                        const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, LAYOUT_REASON_BYTES, format, arguments);
    va_end(arguments);
    return -1;
}

int layout_read_key(const char *file, const char *group, unsigned char key[KEY_BYTES],
                    char reason[LAYOUT_REASON_BYTES]) {
    struct stat status;
    unsigned char bytes[KEY_BYTES + 1];
    int descriptor = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (descriptor < 0)
        return refuse(reason, "the layout key %s: %s; make one with `ksmrun layout key`", file,
                      strerror(errno));
    bool is_known = fstat(descriptor, &status) == 0;
    ssize_t length = read(descriptor, bytes, sizeof bytes);
    close(descriptor);
    if (!is_known || length != KEY_BYTES)
        return refuse(reason,
                      "the layout key %s is not %d bytes long; make one with `ksmrun layout "
                      "key`",
                      file, KEY_BYTES);
    if ((status.st_mode & 077) != 0 || (status.st_uid != 0 && status.st_uid != geteuid()))
        return refuse(
            reason,
            "the layout key %s can be read by others (mode %04o, owner %u); chmod 400 it, "
            "and make a new one, as it may be known",
            file, (unsigned)(status.st_mode & 07777), (unsigned)status.st_uid);
    if (group == NULL)
        memcpy(key, bytes, KEY_BYTES);
    else
        hmac_sha256(bytes, KEY_BYTES, group, strlen(group), key);
    explicit_bzero(bytes, sizeof bytes);
    return 0;
}

/* Bottom-up from a place that everybody knows, without randomisation (mm/util.c: mmap_is_legacy).
 */
static bool has_legacy_layout(void) {
    char text[16];
    int now = personality(0xffffffff);
    bool is_set = procfile_read("/proc/sys/vm/legacy_va_layout", text, sizeof text) > 0;
    return (now != -1 && (now & ADDR_COMPAT_LAYOUT) != 0) || (is_set && text[0] != '0');
}

/* Without /proc, or with that of another PID namespace, another process would be moved. */
static bool has_own_proc(void) {
    char link[32];
    ssize_t length = readlink("/proc/self", link, sizeof link - 1);
    if (length <= 0)
        return false;
    link[length] = '\0';
    return strtol(link, NULL, 10) == getpid();
}

/* A seccomp filter in force may answer the calls that move a program with an error, when it is too
 * late, or with the end of the caller: so a child makes them first. */
static bool filter_lets_move(void) {
    struct rlimit stack;
    if (!merge_is_filtered())
        return true;
    pid_t child = child_fork();
    if (child == 0) {
        size_t bytes = (size_t)sysconf(_SC_PAGESIZE);
        int now = personality(0xffffffff), flags = MAP_PRIVATE | MAP_ANONYMOUS;
        /* Its answer does not matter (announce.c), but that it answers does. */
        int file = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/exe", O_RDONLY | O_CLOEXEC);
        if (file >= 0)
            close(file);
        char *from = mmap(NULL, 2 * bytes, PROT_READ | PROT_EXEC, flags, -1, 0);
        bool works =
            now != -1 && personality((unsigned long)now | ADDR_NO_RANDOMIZE) != -1 &&
            personality((unsigned long)now) != -1 && getrlimit(RLIMIT_STACK, &stack) == 0 &&
            prlimit(0, RLIMIT_STACK, &stack, NULL) == 0 && from != MAP_FAILED &&
            mremap(from, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, from + bytes) == from + bytes;
        _exit(works ? 0 : 1);
    }
    return child > 0 && child_wait(child) == 0;
}

/* valgrind keeps a limit to itself, and the kernel would put the mmap area where the old one says.
 */
static bool is_stack_limit(rlim_t soft_bytes) {
    static const char name[] = "Max stack size";
    char text[2048];
    if (procfile_read("/proc/self/limits", text, sizeof text) < 0)
        return false;
    const char *row = strstr(text, name);
    return row != NULL && strtoull(row + sizeof name - 1, NULL, 10) == soft_bytes;
}

static void undo(const struct arranged *arranged) {
    struct rlimit stack = {arranged->stack_soft_bytes, arranged->stack_hard_bytes};
    personality(arranged->personality);
    setrlimit(RLIMIT_STACK, &stack);
}

/* The mmap area goes where the stack limit of the exec puts it, if addresses are not randomised. */
static int arrange(struct arranged *arranged, char reason[LAYOUT_REASON_BYTES]) {
    struct rlimit stack;
    int before = personality(0xffffffff);
    if (before < 0 || getrlimit(RLIMIT_STACK, &stack) != 0)
        return refuse(reason,
                      "personality or stack limit cannot be read (%s); allow personality in "
                      "the seccomp profile",
                      strerror(errno));
    arranged->personality = (unsigned long)before;
    arranged->was_privileged = getuid() != geteuid() || getgid() != getegid();
    arranged->stack_soft_bytes = stack.rlim_cur;
    arranged->stack_hard_bytes = stack.rlim_max;
    rlim_t wanted = task_size - arranged->mmap_top - stack_guard_gap;
    if (stack.rlim_max != RLIM_INFINITY && stack.rlim_max < wanted)
        return refuse(reason,
                      "the hard stack limit is %llu KiB, and the mmap area is placed by a "
                      "soft one of %llu KiB; raise it (ulimit -Hs unlimited)",
                      (unsigned long long)stack.rlim_max / 1024, (unsigned long long)wanted / 1024);
    stack.rlim_cur = wanted;
    if (personality(arranged->personality | ADDR_NO_RANDOMIZE) < 0)
        return refuse(reason,
                      "personality(ADDR_NO_RANDOMIZE) is refused (%s); allow it in the "
                      "seccomp profile",
                      strerror(errno));
    int error = setrlimit(RLIMIT_STACK, &stack) == 0 ? 0 : errno;
    if (error == 0 && is_stack_limit(wanted))
        return 0;
    undo(arranged);
    return error == 0 ? refuse(reason, "the stack limit does not reach the kernel; start the "
                                       "program under valgrind, not the launcher")
                      : refuse(reason,
                               "the stack limit cannot be set (%s); allow prlimit64 in the seccomp "
                               "profile",
                               strerror(error));
}

/* The number of PR_SET_MM_MAP is only answered by kernels with CONFIG_CHECKPOINT_RESTORE. */
static bool can_tell_kernel(void) {
    unsigned size = 0;
    return prctl(PR_SET_MM, (long)PR_SET_MM_MAP_SIZE, &size, 0L, 0L) == 0 && size != 0;
}

/* Whether the helper, if it were nobody's child, would be adopted by this process, or by the PID 1
 * of a container, which may be a program that waits for no children that it does not know. The
 * first PID namespace has a number of its own (include/linux/proc_ns.h: PROC_PID_INIT_INO). */
static bool would_adopt(void) {
    int subreaper = 0;
    char namespace[32] = "";
    static const char first[] = "pid:[4026531836]";
    if (readlink("/proc/self/ns/pid", namespace, sizeof namespace - 1) > 0 &&
        strcmp(namespace, first) != 0)
        return true;
    return getpid() == 1 ||
           (prctl(PR_GET_CHILD_SUBREAPER, &subreaper, 0L, 0L, 0L) == 0 && subreaper != 0);
}

/* Starts the mover and lets it seize this process. Returns 0 or an errno. */
static int start_mover(struct mover *mover) {
    int commands[2] = {-1, -1}, answers[2] = {-1, -1};
    if (pipe2(commands, O_CLOEXEC) != 0 || pipe2(answers, O_CLOEXEC) != 0)
        return errno;
    mover->commands = descriptor_above_stdio(commands[0]);
    int write_end = descriptor_above_stdio(commands[1]);
    int read_end = descriptor_above_stdio(answers[0]);
    mover->answers = descriptor_above_stdio(answers[1]);
    if (mover->commands < 0 || write_end < 0 || read_end < 0 || mover->answers < 0)
        return EMFILE;
    mover->target = getpid();
    mover->is_child = would_adopt();
    pid_t child = child_fork();
    if (child == 0) {
        close(write_end);
        close(read_end);
        pid_t helper = mover->is_child ? 0 : child_fork();
        if (helper == 0)
            mover_run(mover);
        _exit(helper < 0 ? 1 : 0);
    }
    close(mover->answers);
    int answer = EAGAIN;
    pid_t helper;
    bool is_started = child > 0 && (mover->is_child || child_wait(child) == 0);
    if (is_started && read(read_end, &helper, sizeof helper) == sizeof helper) {
        /* Yama lets only ancestors trace, but for this (Documentation/admin-guide/LSM/Yama.rst). */
        prctl(PR_SET_PTRACER, (unsigned long)helper, 0L, 0L, 0L);
        if (write(write_end, "g", 1) != 1 ||
            read(read_end, &answer, sizeof answer) != sizeof answer)
            answer = ESRCH;
        prctl(PR_SET_PTRACER, 0L, 0L, 0L, 0L);
    }
    if (is_started && mover->is_child && answer != 0)
        child_wait(child);
    /* Open until here: a helper that is gone is no reason for a SIGPIPE. */
    close(mover->commands);
    close(write_end);
    close(read_end);
    return answer;
}

int layout_begin(const char *command, const unsigned char key[KEY_BYTES],
                 char reason[LAYOUT_REASON_BYTES]) {
#if !defined(__x86_64__)
    return refuse(reason, "shared layouts are for x86_64 so far; start it with --layout=random");
#endif
    if (child_would_be_init())
        return refuse(reason, "the helper that moves the program would be the first process of the "
                              "new PID namespace; use `unshare --fork`");
    if (!has_own_proc())
        return refuse(reason, "/proc is not mounted, or not for this PID namespace; mount it "
                              "(unshare --mount-proc)");
    if (!filter_lets_move())
        return refuse(reason, "a seccomp filter denies a call that moves a program; allow mmap, "
                              "mremap, openat, personality, prctl, prlimit64 and ptrace");
    if (has_legacy_layout())
        return refuse(reason, "the legacy address layout is on, which nothing makes secret; set "
                              "vm.legacy_va_layout to 0, leave `setarch -L` out");
    if (!can_tell_kernel())
        return refuse(reason, "this kernel has no PR_SET_MM_MAP (CONFIG_CHECKPOINT_RESTORE), or a "
                              "seccomp filter refuses it; allow prctl 35");
    if (target_may_move(command, reason, LAYOUT_REASON_BYTES) != 0)
        return -1;
    struct mover mover = {.command = command};
    memcpy(mover.key, key, KEY_BYTES);
    mover.arranged.mmap_top = bases_derive(key, "", 0, 0).mmap_top;
    if (arrange(&mover.arranged, reason) != 0)
        return -1;
    int error = start_mover(&mover);
    explicit_bzero(mover.key, sizeof mover.key);
    if (error == 0)
        return 0;
    undo(&mover.arranged);
    if (error == EAGAIN || error == EMFILE || error == ENFILE || error == ENOMEM)
        return refuse(reason,
                      "the helper that moves the program cannot be started (%s); raise the limits "
                      "of processes and descriptors (ulimit -u and -n)",
                      strerror(error));
    return refuse(reason,
                  "this process may not be traced (%s); allow ptrace in the seccomp profile, "
                  "set kernel.yama.ptrace_scope to 0 or 1, or take the debugger or strace off it",
                  strerror(error));
}
