/* System calls without libc: one build of the shim serves glibc, musl and programs of any age, and
 * leaves errno unchanged. A failure is returned as -errno. */
#ifndef KSMRUN_SYSCALLS_H
#define KSMRUN_SYSCALLS_H

/* Omitted arguments are 0, as prctl(2) requires. */
#define SYSTEM_CALL(number, ...) system_call(number, (const long[6]){__VA_ARGS__})

enum { MAX_ERRNO = 4095 };

static inline int is_error(long result) {
    return (unsigned long)result >= -(unsigned long)MAX_ERRNO;
}

/* The numbers are defined here because the installed headers may be of another architecture:
 * musl-gcc -m32 has those for 64 bits. Source: arch/.../syscall_*.tbl,
 * include/uapi/asm-generic/unistd.h. */
#if defined(__x86_64__)
enum {
    NUMBER_CLOSE = 3,
    NUMBER_WRITE = 1,
    NUMBER_MMAP = 9,
    NUMBER_MPROTECT = 10,
    NUMBER_MUNMAP = 11,
    NUMBER_RT_SIGPROCMASK = 14,
    NUMBER_PREAD64 = 17,
    NUMBER_PWRITE64 = 18,
    NUMBER_MADVISE = 28,
    NUMBER_MLOCK = 149,
    NUMBER_MLOCK2 = 325,
    NUMBER_MLOCKALL = 151,
    NUMBER_GETPID = 39,
    NUMBER_CLONE = 56,
    NUMBER_EXIT = 60,
    NUMBER_UNAME = 63,
    NUMBER_GETRUSAGE = 98,
    NUMBER_GETPPID = 110,
    NUMBER_CAPSET = 126,
    NUMBER_SETPRIORITY = 141,
    NUMBER_SCHED_SETSCHEDULER = 144,
    NUMBER_PIVOT_ROOT = 155,
    NUMBER_PRCTL = 157,
    NUMBER_CHROOT = 161,
    NUMBER_FUTEX = 202,
    NUMBER_GETDENTS64 = 217,
    NUMBER_CLOCK_GETTIME = 228,
    NUMBER_TGKILL = 234,
    NUMBER_IOPRIO_SET = 251,
    NUMBER_OPENAT = 257,
    NUMBER_UNSHARE = 272,
    NUMBER_SETNS = 308,
    NUMBER_SECCOMP = 317,
    NUMBER_GETRANDOM = 318,
    NUMBER_MEMFD_CREATE = 319,
    NUMBER_CLOSE_RANGE = 436,
};
enum { AUDIT_ARCH = (int)0xC000003E };

static inline long system_call(long number, const long argument[6]) {
    long result;
    register long r10 __asm__("r10") = argument[3];
    register long r8 __asm__("r8") = argument[4];
    register long r9 __asm__("r9") = argument[5];
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(argument[0]), "S"(argument[1]), "d"(argument[2]), "r"(r10),
                       "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

/* clone(2) with a separate stack for the child, which calls run and never returns. */
static inline long clone_call(long flags, void *stack_top, int *tid, void (*run)(void)) {
    long result;
    register long r10 __asm__("r10") = (long)tid;
    register long r8 __asm__("r8") = 0;
    __asm__ volatile("syscall\n\t"
                     "test %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "xor %%ebp, %%ebp\n\t"
                     "call *%[run]\n\t"
                     "ud2\n"
                     "1:"
                     : "=a"(result)
                     : "a"(NUMBER_CLONE), "D"(flags), "S"(stack_top), "d"(tid), "r"(r10),
                       "r"(r8), [run] "r"(run)
                     : "rcx", "r11", "memory");
    return result;
}

#elif defined(__i386__)
enum {
    NUMBER_EXIT = 1,
    NUMBER_WRITE = 4,
    NUMBER_CLOSE = 6,
    NUMBER_GETPID = 20,
    NUMBER_CHROOT = 61,
    NUMBER_GETPPID = 64,
    NUMBER_GETRUSAGE = 77,
    NUMBER_MMAP = 90, /* takes a pointer to its six arguments */
    NUMBER_MUNMAP = 91,
    NUMBER_SETPRIORITY = 97,
    NUMBER_CLONE = 120,
    NUMBER_UNAME = 122,
    NUMBER_MPROTECT = 125,
    NUMBER_SCHED_SETSCHEDULER = 156,
    NUMBER_PRCTL = 172,
    NUMBER_RT_SIGPROCMASK = 175,
    NUMBER_PREAD64 = 180,
    NUMBER_PWRITE64 = 181,
    NUMBER_CAPSET = 185,
    NUMBER_PIVOT_ROOT = 217,
    NUMBER_MADVISE = 219,
    NUMBER_MLOCK = 150,
    NUMBER_MLOCK2 = 376,
    NUMBER_MLOCKALL = 152,
    NUMBER_GETDENTS64 = 220,
    NUMBER_FUTEX = 240,
    NUMBER_CLOCK_GETTIME = 265,
    NUMBER_TGKILL = 270,
    NUMBER_IOPRIO_SET = 289,
    NUMBER_OPENAT = 295,
    NUMBER_UNSHARE = 310,
    NUMBER_SETNS = 346,
    NUMBER_SECCOMP = 354,
    NUMBER_GETRANDOM = 355,
    NUMBER_MEMFD_CREATE = 356,
    NUMBER_CLOCK_GETTIME64 = 403,
    NUMBER_CLOSE_RANGE = 436,
};
enum { AUDIT_ARCH = 0x40000003 };

static inline long system_call(long number, const long argument[6]) {
    long result;
    /* Six arguments leave the compiler no register, so they are loaded here. */
    __asm__ volatile("push %%ebx\n\tpush %%esi\n\tpush %%edi\n\tpush %%ebp\n\t"
                     "mov 0(%%edx), %%ebx\n\t"
                     "mov 4(%%edx), %%ecx\n\t"
                     "mov 12(%%edx), %%esi\n\t"
                     "mov 16(%%edx), %%edi\n\t"
                     "mov 20(%%edx), %%ebp\n\t"
                     "mov 8(%%edx), %%edx\n\t"
                     "int $0x80\n\t"
                     "pop %%ebp\n\tpop %%edi\n\tpop %%esi\n\tpop %%ebx"
                     : "=a"(result), "+d"(argument)
                     : "a"(number)
                     : "ecx", "memory");
    return result;
}

static inline long clone_call(long flags, void *stack_top, int *tid, void (*run)(void)) {
    long result;
    void (**entry)(void) = (void (**)(void))stack_top - 4;
    *entry = run;
    __asm__ volatile("int $0x80\n\t"
                     "test %%eax, %%eax\n\t"
                     "jnz 1f\n\t"
                     "xor %%ebp, %%ebp\n\t"
                     "calll *(%%esp)\n\t"
                     "ud2\n"
                     "1:"
                     : "=a"(result)
                     : "a"(NUMBER_CLONE), "b"(flags), "c"(entry), "d"(tid), "S"(0), "D"(tid)
                     : "memory");
    return result;
}

#elif defined(__aarch64__)
enum {
    NUMBER_IOPRIO_SET = 30,
    NUMBER_PIVOT_ROOT = 41,
    NUMBER_CHROOT = 51,
    NUMBER_OPENAT = 56,
    NUMBER_CLOSE = 57,
    NUMBER_GETDENTS64 = 61,
    NUMBER_WRITE = 64,
    NUMBER_PREAD64 = 67,
    NUMBER_PWRITE64 = 68,
    NUMBER_CAPSET = 91,
    NUMBER_EXIT = 93,
    NUMBER_UNSHARE = 97,
    NUMBER_FUTEX = 98,
    NUMBER_CLOCK_GETTIME = 113,
    NUMBER_SCHED_SETSCHEDULER = 119,
    NUMBER_TGKILL = 131,
    NUMBER_RT_SIGPROCMASK = 135,
    NUMBER_SETPRIORITY = 140,
    NUMBER_UNAME = 160,
    NUMBER_GETRUSAGE = 165,
    NUMBER_PRCTL = 167,
    NUMBER_GETPID = 172,
    NUMBER_GETPPID = 173,
    NUMBER_MUNMAP = 215,
    NUMBER_CLONE = 220,
    NUMBER_MMAP = 222,
    NUMBER_MPROTECT = 226,
    NUMBER_MADVISE = 233,
    NUMBER_MLOCK = 228,
    NUMBER_MLOCK2 = 284,
    NUMBER_MLOCKALL = 230,
    NUMBER_SETNS = 268,
    NUMBER_SECCOMP = 277,
    NUMBER_GETRANDOM = 278,
    NUMBER_MEMFD_CREATE = 279,
    NUMBER_CLOSE_RANGE = 436,
};
enum { AUDIT_ARCH = (int)0xC00000B7 };

static inline long system_call(long number, const long argument[6]) {
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = argument[0];
    register long x1 __asm__("x1") = argument[1];
    register long x2 __asm__("x2") = argument[2];
    register long x3 __asm__("x3") = argument[3];
    register long x4 __asm__("x4") = argument[4];
    register long x5 __asm__("x5") = argument[5];
    __asm__ volatile("svc #0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory");
    return x0;
}

static inline long clone_call(long flags, void *stack_top, int *tid, void (*run)(void)) {
    register long x8 __asm__("x8") = NUMBER_CLONE;
    register long x0 __asm__("x0") = flags;
    register void *x1 __asm__("x1") = stack_top;
    register int *x2 __asm__("x2") = tid;
    register long x3 __asm__("x3") = 0;
    register int *x4 __asm__("x4") = tid;
    __asm__ volatile("svc #0\n\t"
                     "cbnz x0, 1f\n\t"
                     "mov x29, xzr\n\t"
                     "blr %[run]\n\t"
                     "brk #1\n"
                     "1:"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), [run] "r"(run)
                     : "memory", "x30");
    return x0;
}

#else
#error "the shim knows x86_64, i386 and aarch64"
#endif

/* 32-bit kernels take a 64-bit offset in two halves. */
static inline long pread_at(int file, void *buffer, unsigned long size, unsigned long long offset) {
    if (sizeof(long) == 8)
        return SYSTEM_CALL(NUMBER_PREAD64, file, (long)buffer, (long)size, (long)offset);
    return SYSTEM_CALL(NUMBER_PREAD64, file, (long)buffer, (long)size, (long)offset,
                       (long)(offset >> 16 >> 16));
}

static inline long map_memory(const long argument[6]) {
#if defined(__i386__)
    return SYSTEM_CALL(NUMBER_MMAP, (long)argument);
#else
    return system_call(NUMBER_MMAP, argument);
#endif
}

/* Never waits, whatever is at that path in a root that the program has made. */
static inline long open_readonly(const char *path) {
    enum { AT_FDCWD = -100, O_NONBLOCK = 04000, O_CLOEXEC = 02000000 };
    return SYSTEM_CALL(NUMBER_OPENAT, AT_FDCWD, (long)path, O_NONBLOCK | O_CLOEXEC);
}

#endif
