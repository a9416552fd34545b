#include "layout.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
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

#include "../common/child.h"
#include "../common/merge.h"
#include "../common/procfile.h"
#include "../common/sha256.h"
#include "helper.h"
#include "move_parts.h"
#include "reap.h"
#include "target.h"
#include "tracee.h"

#ifndef PR_SET_PTRACER
#define PR_SET_PTRACER 0x59616d61
#endif

enum { HELPER_STACK_BYTES = 64 << 10 };

/* Bottom-up from a public address, without randomisation (mm/util.c: mmap_is_legacy). */
static bool has_legacy_layout(void) {
    char text[16];
    /* Read from /proc: a filter may kill whoever makes the call. */
    if (procfile_read("/proc/self/personality", text, sizeof text) > 0 &&
        (strtoul(text, NULL, 16) & ADDR_COMPAT_LAYOUT) != 0)
        return true;
    return procfile_read("/proc/sys/vm/legacy_va_layout", text, sizeof text) > 0 && text[0] != '0';
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

/* Returns 0, or the errno with which a program's memory cannot be written: on a read-only /proc, or
 * by Landlock or another policy, that is found out when it is too late. */
static int memory_errno(void) {
    int file = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
    int error = file < 0 ? errno : 0;
    if (file >= 0)
        close(file);
    return error;
}

/* Its exec is then not like others (fs/exec.c), and its memory only root's (PR_SET_DUMPABLE). */
static bool is_below_setuid(void) {
    return getuid() != geteuid() || getgid() != getegid();
}

/* The helper's own stack; what has less is killed by it. */
static bool has_stack(void) {
    struct rlimit stack;
    return getrlimit(RLIMIT_STACK, &stack) == 0 && stack.rlim_cur >= HELPER_STACK_BYTES;
}

/* If a seccomp filter is installed, a child tries the calls that move a program: it may deny them
 * when it is too late, or kill the caller. */
static bool filter_lets(bool (*try_calls)(void)) {
    if (!merge_is_filtered())
        return true;
    pid_t child = child_fork();
    if (child == 0)
        _exit(try_calls() ? 0 : 1);
    return child > 0 && child_wait(child) == 0;
}

static bool try_moving(void) {
    size_t bytes = (size_t)sysconf(_SC_PAGESIZE);
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    /* Its result does not matter (profiler_events.c), but that it returns does. */
    int file = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (file >= 0)
        close(file);
    char *from = mmap(NULL, 2 * bytes, PROT_READ | PROT_EXEC, flags, -1, 0);
    return from != MAP_FAILED && (madvise(from, bytes, MADV_UNMERGEABLE) == 0 || errno == EINVAL) &&
           mremap(from, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, from + bytes) == from + bytes;
}

static bool try_arranging(void) {
    struct rlimit stack;
    int now = personality(0xffffffff);
    return now != -1 && personality((unsigned long)now | ADDR_NO_RANDOMIZE) != -1 &&
           personality((unsigned long)now) != -1 && getrlimit(RLIMIT_STACK, &stack) == 0 &&
           prlimit(0, RLIMIT_STACK, &stack, NULL) == 0;
}

/* valgrind only pretends to set the limit, and the kernel would place the mmap area by the old
 * one. */
static bool is_stack_limit(rlim_t wanted) {
    uint64_t soft_bytes;
    return tracee_limit(getpid(), "Max stack size", &soft_bytes) && soft_bytes == wanted;
}

static void undo(const struct arranged *arranged) {
    struct rlimit stack = {arranged->stack_soft_bytes, arranged->stack_hard_bytes};
    personality(arranged->personality);
    setrlimit(RLIMIT_STACK, &stack);
}

/* Without randomisation, the mmap area is placed by the stack limit at the exec. Returns false,
 * with nothing changed, if that is impossible: default profiles of containers deny that
 * personality, and a hard limit may be too low. */
static bool arrange(struct arranged *arranged, const struct machine *machine, uint64_t mmap_top) {
    struct rlimit stack;
    rlim_t wanted = machine->stack_top - mmap_top - machine->stack_guard_gap;
    int before = filter_lets(try_arranging) ? personality(0xffffffff) : -1;
    /* i386 has another end of the stack then (arch/x86/include/asm/page_64_types.h). */
    if (before < 0 || (machine->architecture == I386 && (before & ADDR_LIMIT_3GB) != 0))
        return false;
    if (getrlimit(RLIMIT_STACK, &stack) != 0 || !bases_have_stack_room(machine, stack.rlim_cur) ||
        (stack.rlim_max != RLIM_INFINITY && stack.rlim_max < wanted))
        return false;
    arranged->personality = (unsigned long)before;
    arranged->stack_soft_bytes = stack.rlim_cur;
    arranged->stack_hard_bytes = stack.rlim_max;
    stack.rlim_cur = wanted;
    if (personality(arranged->personality | ADDR_NO_RANDOMIZE) < 0)
        return false;
    if (setrlimit(RLIMIT_STACK, &stack) == 0 && is_stack_limit(wanted))
        return true;
    undo(arranged);
    return false;
}

/* PR_SET_MM_MAP is only implemented by kernels with CONFIG_CHECKPOINT_RESTORE. */
static bool can_tell_kernel(void) {
    unsigned size = 0;
    return prctl(PR_SET_MM, (long)PR_SET_MM_MAP_SIZE, &size, 0L, 0L) == 0 && size != 0;
}

/* Returns whether the helper, if it were nobody's child, would be adopted by this process, or by
 * the PID 1 of a container, which may be a program that does not wait for unknown children. The
 * first PID namespace has a fixed inode number (include/linux/proc_ns.h: PROC_PID_INIT_INO). */
static bool would_adopt(void) {
    char namespace[32] = "";
    static const char first[] = "pid:[4026531836]";
    if (readlink("/proc/self/ns/pid", namespace, sizeof namespace - 1) > 0 &&
        strcmp(namespace, first) != 0)
        return true;
    return child_adopts_orphans();
}

/* Starts the helper and lets it seize this process. Returns 0 or an errno. */
static int start_helper(struct helper *helper) {
    int commands[2] = {-1, -1}, answers[2] = {-1, -1};
    if (pipe2(commands, O_CLOEXEC) != 0 || pipe2(answers, O_CLOEXEC) != 0)
        return errno;
    helper->commands = descriptor_above_stdio(commands[0]);
    int write_end = descriptor_above_stdio(commands[1]);
    int read_end = descriptor_above_stdio(answers[0]);
    helper->answers = descriptor_above_stdio(answers[1]);
    if (helper->commands < 0 || write_end < 0 || read_end < 0 || helper->answers < 0)
        return EMFILE;
    helper->target = getpid();
    helper->is_child = would_adopt();
    pid_t child = child_fork();
    if (child == 0) {
        close(write_end);
        close(read_end);
        pid_t own = helper->is_child ? 0 : child_fork();
        if (own == 0)
            helper_run(helper);
        _exit(own < 0 ? 1 : 0);
    }
    close(helper->answers);
    int answer = EAGAIN;
    pid_t helper_pid;
    bool is_started = child > 0 && (helper->is_child || child_wait(child) == 0);
    if (is_started && read(read_end, &helper_pid, sizeof helper_pid) == sizeof helper_pid) {
        /* Yama otherwise lets only ancestors trace (Documentation/admin-guide/LSM/Yama.rst). */
        prctl(PR_SET_PTRACER, (unsigned long)helper_pid, 0L, 0L, 0L);
        if (write(write_end, "g", 1) != 1 ||
            read(read_end, &answer, sizeof answer) != sizeof answer)
            answer = ESRCH;
        prctl(PR_SET_PTRACER, 0L, 0L, 0L, 0L);
    }
    if (is_started && helper->is_child && answer != 0)
        child_wait(child);
    /* Open until here, so that a helper that is gone causes no SIGPIPE. */
    close(helper->commands);
    close(write_end);
    close(read_end);
    return answer;
}

/* Returns whether a program that is traced by us gains at exec what its file grants (execve(2)), or
 * cannot gain anything. */
static bool exec_keeps_privilege(void) {
    enum { CAP_SYS_PTRACE_BIT = 19 };
    char effective[32];
    if (prctl(PR_GET_NO_NEW_PRIVS, 0L, 0L, 0L, 0L) == 1)
        return true;
    return procfile_row("/proc/self/status", "CapEff", effective, sizeof effective) &&
           (strtoull(effective, NULL, 16) >> CAP_SYS_PTRACE_BIT & 1) != 0;
}

/* Returns whether it is traced by the helper of a launch that this one is started by. Only a
 * message depends on it: any process can have that name. */
static bool is_followed(void) {
    char tracer[16], path[32], name[16];
    if (!procfile_row("/proc/self/status", "TracerPid", tracer, sizeof tracer))
        return false;
    snprintf(path, sizeof path, "/proc/%ld/comm", strtol(tracer, NULL, 10));
    return procfile_read(path, name, sizeof name) > 0 &&
           strncmp(name, FOLLOWER_NAME, strlen(FOLLOWER_NAME)) == 0;
}

/* A filter may kill whoever tries; without one there may be another policy. */
static bool may_wait_first(void) {
    return merge_is_filtered() ? filter_lets(reap_is_possible) : reap_is_possible();
}

static int check_place(const struct layout_request *request, const struct machine *machine,
                       const struct machine *narrow, enum target_kind *kind,
                       char reason[REASON_BYTES]) {
    if (!bases_have_room(machine))
        return refuse(reason,
                      "addresses of %d bits with pages of %llu KiB leave too few bits for a secret "
                      "layout; start it with --layout=random",
                      machine->address_bits, (unsigned long long)machine->page_bytes / 1024);
    if (child_would_be_init())
        return refuse(reason, "the helper that moves the program would be the first process of the "
                              "new PID namespace, which ends with it; use `unshare --fork`");
    if (!has_own_proc())
        return refuse(reason, "/proc is not mounted, or is that of another PID namespace; mount it "
                              "(unshare --mount-proc)");
    int error = memory_errno();
    if (error == EACCES && is_below_setuid())
        return refuse(reason, "this process, below a setuid or setgid program, may not be traced; "
                              "start ksmrun as the user that it is to run as, or use "
                              "--layout=random");
    if (error != 0)
        return refuse(
            reason,
            "/proc/PID/mem cannot be opened for writing (%s), so no program can be moved; "
            "mount /proc read-write, and let the policy (Landlock, AppArmor) allow it",
            strerror(error));
    if (!has_stack())
        return refuse(reason,
                      "the helper that moves the program needs a stack of %d KiB; raise ulimit -s",
                      HELPER_STACK_BYTES >> 10);
    if (!filter_lets(try_moving))
        return refuse(reason, "a seccomp filter denies a system call that moving a program needs; "
                              "allow madvise, mmap, mremap, openat, prctl, prlimit64 and ptrace");
    if (would_adopt() && !may_wait_first())
        return refuse(reason, "the program is PID 1 or a subreaper, and would have to wait for the "
                              "helper in code that cannot be written here; allow "
                              "mprotect(PROT_EXEC), or boot without proc_mem.force_override=never");
    if (has_legacy_layout())
        return refuse(reason, "the legacy address layout is on, which cannot be kept secret; set "
                              "vm.legacy_va_layout=0, and leave out `setarch -L`");
    if (!filter_lets(can_tell_kernel) || !can_tell_kernel())
        return refuse(reason, "this kernel has no PR_SET_MM_MAP (CONFIG_CHECKPOINT_RESTORE), or a "
                              "seccomp filter refuses it; allow prctl 35");
    if (request->scope == SCOPE_TREE && !exec_keeps_privilege())
        return refuse(reason, "with --layout-scope=tree, setuid programs and those with file "
                              "capabilities would start without these; use --layout-scope=program, "
                              "give the program CAP_SYS_PTRACE, or set no_new_privs");
    return target_may_move(request->command, machine, narrow, kind, reason);
}

/* By reservation the whole address space grows. */
static int check_space(const struct machine *machine, char reason[REASON_BYTES]) {
    struct rlimit space, stack;
    if (getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur == RLIM_INFINITY &&
        getrlimit(RLIMIT_STACK, &stack) == 0 && bases_can_reserve(machine, stack.rlim_cur))
        return 0;
    if (machine->architecture == I386)
        return refuse(reason,
                      "the limit of the address space (ulimit -v) is too small to reserve a "
                      "part of it, or that of the stack too large for a program of 32 "
                      "bits; raise ulimit -v or lower ulimit -s to 200000");
    return refuse(reason,
                  "the limit of the address space (ulimit -v) or the room beside the stack is too "
                  "small to reserve a part of it, which its personality or hard stack limit makes "
                  "necessary; raise ulimit -v or the hard stack limit (ulimit -Hs)");
}

int layout_begin(const struct layout_request *request, const unsigned char key[KEY_BYTES],
                 char reason[REASON_BYTES]) {
    const struct machine machine = machine_here();
    const struct machine narrow = machine_narrow(&machine);
    enum target_kind kind;
    if (check_place(request, &machine, &narrow, &kind, reason) != 0)
        return -1;
    const struct machine *its = kind == TARGET_NARROW ? &narrow : &machine;
    struct helper helper = {
        .machine = machine,
        .narrow = narrow,
        .scope = request->scope,
        .exec_keeps_privilege = exec_keeps_privilege(),
        .shares_go_random = request->shares_go_random,
        .has_domain = request->has_domain,
        .require = request->require,
        .quiet = request->quiet,
        .was_privileged = is_below_setuid(),
    };
    memcpy(helper.key, key, KEY_BYTES);
    /* A reservation is made when it is known which one it is. An exec with another effective user
     * or group resets the stack limit (fs/exec.c: begin_new_exec()). */
    helper.is_arranged = kind != TARGET_MIXED && !helper.was_privileged &&
                         arrange(&helper.arranged, its, bases_by_limit(its, key, "", 0).mmap_top);
    if (!helper.is_arranged && check_space(its, reason) != 0)
        return -1;
    int error = start_helper(&helper);
    explicit_bzero(helper.key, sizeof helper.key);
    if (error == 0)
        return 0;
    if (helper.is_arranged)
        undo(&helper.arranged);
    if (error == EAGAIN || error == EMFILE || error == ENFILE || error == ENOMEM)
        return refuse(reason,
                      "the helper that moves the program cannot be started (%s); raise the limits "
                      "of processes and descriptors (ulimit -u and -n)",
                      strerror(error));
    if (error == EPERM && is_followed())
        return refuse(reason,
                      "it is started by a launch with a shared layout of its own, which its "
                      "programs get; leave out --layout=shared in one of the two");
    return refuse(reason,
                  "this process cannot be traced (%s); allow ptrace in the seccomp profile, set "
                  "kernel.yama.ptrace_scope to 0 or 1, or detach the debugger or strace",
                  strerror(error));
}
