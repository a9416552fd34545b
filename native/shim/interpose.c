/* The few functions of libc that the shim replaces while it marks: where a second thread would
 * change what the program may do, it steps aside, and it records what the program advises.
 *
 * In glibc and musl each is a plain system call, and none is a cancellation point; the same holds
 * here. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "filter.h"
#include "interpose.h"
#include "linux.h"
#include "lua.h"
#include "roots.h"
#include "secrets.h"
#include "sweeper.h"
#include "syscalls.h"

enum { PRIO_PROCESS = 0, IOPRIO_WHO_PROCESS = 1 };
enum { MAP_LOCKED = 0x2000, ERROR_AGAIN = 11 };

#define EXPORTED __attribute__((visibility("default")))

extern int *__errno_location(void) __attribute__((weak));
extern int __register_atfork(void (*)(void), void (*)(void), void (*)(void), void *)
    __attribute__((weak));
extern int pthread_atfork(void (*)(void), void (*)(void), void (*)(void)) __attribute__((weak));
/* CPython's since 3.11, as 0x030b00f0. */
extern const unsigned long Py_Version __attribute__((weak));

static long with_errno(long result) {
    if (!is_error(result))
        return result;
    if (__errno_location != NULL)
        *__errno_location() = (int)-result;
    return -1;
}

/* CPython 3.12 and later counts the threads in /proc/self/stat after a fork, and warns if there are
 * two. */
static bool warns_of_threads(void) {
    return &Py_Version != NULL && Py_Version >= 0x030c0000;
}

static void before_fork(void) {
    sweeper_leave_until_mapping();
}

/* Each handler costs all children of the others. */
void interpose_begin(void) {
    if (!warns_of_threads())
        return;
    /* musl has the second; glibc before 2.34 only the first as a symbol. */
    if (__register_atfork != NULL)
        __register_atfork(before_fork, NULL, NULL, NULL);
    else if (pthread_atfork != NULL)
        pthread_atfork(before_fork, NULL, NULL);
}

static long advise(const long argument[6]) {
    if (argument[2] == MADV_DONTDUMP && !secrets_keep((uintptr_t)argument[0], (size_t)argument[1]))
        return -ERROR_AGAIN;
    sweeper_note_advice((uintptr_t)argument[0], (size_t)argument[1], (int)argument[2]);
    return system_call(NUMBER_MADVISE, argument);
}

static long lock(long number, const long argument[6]) {
    if (!secrets_keep((uintptr_t)argument[0], (size_t)argument[1]))
        return -ERROR_AGAIN;
    return system_call(number, argument);
}

static long lock_all(const long argument[6]) {
    return secrets_keep_all() ? system_call(NUMBER_MLOCKALL, argument) : -ERROR_AGAIN;
}

/* A process with threads gets EINVAL for a user namespace (user_namespaces(7)), and for a mount
 * namespace if they share the working directory (setns(2)); with other kinds the thread would keep
 * the old namespace in use. Attributes that all threads of a process share need no such care. */
static long call_alone(long number, const long argument[6], long what) {
    bool is_needed = what == 0 || (what & ~(CLONE_FILES | CLONE_SYSVSEM | CLONE_NEWPID)) != 0;
    bool has_left = is_needed && sweeper_leave();
    long result = system_call(number, argument);
    if (has_left)
        sweeper_come_back();
    return result;
}

static bool could_come_back(void) {
    long maps = open_readonly("/proc/thread-self/maps");
    if (!is_error(maps))
        SYSTEM_CALL(NUMBER_CLOSE, maps);
    return !is_error(maps);
}

/* For a process group or a user, both calls look at each thread, and fail with EPERM if one has
 * another user than the caller, as the sweeper has after setuid(2) (kernel/sys.c, block/ioprio.c).
 */
static long set_priority(long number, const long argument[6], long of_one) {
    bool has_left = argument[0] != of_one && could_come_back() && sweeper_leave();
    long result = system_call(number, argument);
    if (has_left)
        sweeper_come_back();
    return result;
}

/* A filter that is installed while the sweeper runs would not cover it, and so could be bypassed,
 * or with SECCOMP_FILTER_FLAG_TSYNC would fail, because the sweeper has one of its own
 * (seccomp(2)). */
static long set_filter(long number, const long argument[6], const void *program) {
    /* Afterwards only calls that the program itself makes may be made. */
    if (!sweeper_is_used())
        return system_call(number, argument);
    long own_pid = SYSTEM_CALL(NUMBER_GETPID, 0);
    bool has_left = sweeper_leave();
    long result = system_call(number, argument);
    bool has_listener = number == NUMBER_SECCOMP && argument[1] & SECCOMP_FILTER_FLAG_NEW_LISTENER;
    bool is_set = has_listener ? result >= 0 : result == 0;
    if (is_set && !filter_lets_sweeper_live(program))
        sweeper_stay_away(has_left, own_pid);
    else if (has_left)
        sweeper_come_back();
    return result;
}

/* From then on everything but read(2), write(2), _exit(2) and sigreturn(2) kills (seccomp(2)), and
 * as the only thread it ends the process by exit(2) with its own code. */
static long set_strict(long number, const long argument[6]) {
    long own_pid = sweeper_is_used() ? SYSTEM_CALL(NUMBER_GETPID, 0) : 0;
    bool has_left = sweeper_leave();
    long result = system_call(number, argument);
    if (result == 0 && own_pid != 0)
        sweeper_stay_away(has_left, own_pid);
    else if (has_left)
        sweeper_come_back();
    return result;
}

static long control(const long argument[6]) {
    if (argument[0] == PR_SET_SECCOMP && argument[1] == SECCOMP_MODE_STRICT)
        return set_strict(NUMBER_PRCTL, argument);
    if (argument[0] == PR_SET_SECCOMP && argument[1] == SECCOMP_MODE_FILTER)
        return set_filter(NUMBER_PRCTL, argument, (const void *)argument[2]);
    return system_call(NUMBER_PRCTL, argument);
}

static long filter(const long argument[6]) {
    if (argument[0] == SECCOMP_SET_MODE_STRICT)
        return set_strict(NUMBER_SECCOMP, argument);
    if (argument[0] == SECCOMP_SET_MODE_FILTER)
        return set_filter(NUMBER_SECCOMP, argument, (const void *)argument[2]);
    return system_call(NUMBER_SECCOMP, argument);
}

#if !defined(__i386__)
static long map(const long argument[6]) {
    long at = map_memory(argument);
    bool is_secret = (argument[3] & MAP_LOCKED) != 0 && !is_error(at);
    if (!is_secret || secrets_keep((uintptr_t)at, (size_t)argument[1]))
        return at;
    SYSTEM_CALL(NUMBER_MUNMAP, at, argument[1]);
    return -ERROR_AGAIN;
}
#endif

static long route(long number, const long argument[6]) {
    switch (number) {
    case NUMBER_MADVISE:
        return advise(argument);
    case NUMBER_MLOCK:
    case NUMBER_MLOCK2:
        return lock(number, argument);
    case NUMBER_MLOCKALL:
        return lock_all(argument);
#if !defined(__i386__)
    case NUMBER_MMAP:
        return map(argument);
#endif
    case NUMBER_PRCTL:
        return control(argument);
    case NUMBER_SECCOMP:
        return filter(argument);
    case NUMBER_UNSHARE:
        return call_alone(number, argument, argument[0]);
    case NUMBER_SETNS:
        return call_alone(number, argument, argument[1]);
    case NUMBER_SETPRIORITY:
        return set_priority(number, argument, PRIO_PROCESS);
    case NUMBER_IOPRIO_SET:
        return set_priority(number, argument, IOPRIO_WHO_PROCESS);
    case NUMBER_CHROOT:
    case NUMBER_PIVOT_ROOT:
        roots_note();
        return system_call(number, argument);
    case NUMBER_EXIT:
        sweeper_look_soon();
        return system_call(number, argument);
    default:
        return system_call(number, argument);
    }
}

EXPORTED long syscall(long number, ...) {
    long argument[6];
    va_list arguments;
    va_start(arguments, number);
    for (int i = 0; i < 6; i++)
        argument[i] = va_arg(arguments, long);
    va_end(arguments);
    sweeper_notice(0);
    if (number == NUMBER_GETRANDOM &&
        lua_fill((uintptr_t)__builtin_return_address(0), (unsigned char *)argument[0],
                 (size_t)argument[1], (unsigned)argument[2]))
        return argument[1];
    return with_errno(route(number, argument));
}

EXPORTED int prctl(int option, ...) {
    long argument[6] = {option};
    va_list arguments;
    va_start(arguments, option);
    for (int i = 1; i < 5; i++)
        argument[i] = va_arg(arguments, long);
    va_end(arguments);
    return (int)with_errno(control(argument));
}

EXPORTED int madvise(void *address, size_t length, int advice) {
    return (int)with_errno(advise((const long[6]){(long)address, (long)length, advice}));
}

EXPORTED int mlock(const void *address, size_t length) {
    return (int)with_errno(lock(NUMBER_MLOCK, (const long[6]){(long)address, (long)length}));
}

EXPORTED int mlock2(const void *address, size_t length, unsigned flags) {
    const long argument[6] = {(long)address, (long)length, (long)flags};
    return (int)with_errno(lock(flags == 0 ? NUMBER_MLOCK : NUMBER_MLOCK2, argument));
}

EXPORTED int mlockall(int flags) {
    return (int)with_errno(lock_all((const long[6]){flags}));
}

EXPORTED int setpriority(int which, unsigned who, int priority) {
    const long argument[6] = {which, (long)who, priority};
    return (int)with_errno(set_priority(NUMBER_SETPRIORITY, argument, PRIO_PROCESS));
}

EXPORTED int unshare(int flags) {
    return (int)with_errno(call_alone(NUMBER_UNSHARE, (const long[6]){flags}, flags));
}

EXPORTED int setns(int file, int type) {
    roots_note();
    return (int)with_errno(call_alone(NUMBER_SETNS, (const long[6]){file, type}, type));
}

/* 32-bit programs may have two widths of offset here, and no CPython that warns. */
#if !defined(__i386__)
EXPORTED void *mmap(void *address, size_t length, int protection, int flags, int file,
                    long offset) {
    sweeper_come_back_if_away();
    sweeper_notice(length);
    return (void *)with_errno(
        map((const long[6]){(long)address, (long)length, protection, flags, file, offset}));
}

EXPORTED void *mmap64(void *address, size_t length, int protection, int flags, int file,
                      long offset) __attribute__((alias("mmap")));
#endif
