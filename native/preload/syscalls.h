/* System calls without libc: one build of the shim serves glibc, musl and programs of any age, and
 * errno stays as it was. */
#ifndef KSMRUN_SYSCALLS_H
#define KSMRUN_SYSCALLS_H

#if defined(__x86_64__)
enum { NUMBER_PRCTL = 157, NUMBER_UNAME = 63 };

static inline long system_call(long number, long a, long b, long c, long d, long e) {
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                     : "rcx", "r11", "memory");
    return result;
}

#elif defined(__i386__)
enum { NUMBER_PRCTL = 172, NUMBER_UNAME = 122 };

static inline long system_call(long number, long a, long b, long c, long d, long e) {
    long result;
    __asm__ volatile("int $0x80"
                     : "=a"(result)
                     : "a"(number), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e)
                     : "memory");
    return result;
}

#elif defined(__aarch64__)
enum { NUMBER_PRCTL = 167, NUMBER_UNAME = 160 };

static inline long system_call(long number, long a, long b, long c, long d, long e) {
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    __asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
    return x0;
}

#else
#error "the shim knows x86_64, i386 and aarch64"
#endif

#endif
