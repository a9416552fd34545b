/* Calls that a process makes sooner or later, and above all before it waits. Each is forwarded
 * unchanged to the next library's function of that name, so what it does, whom it wakes, and that
 * it is a cancellation point, stays as it is. malloc(3) is not among them: its users count
 * nanoseconds.
 *
 * All take integers and pointers, no more than six (psABIs of x86_64, i386 and aarch64: a function
 * ignores extra arguments). */
#include "forward.h"

#include <stddef.h>

#include "next.h"
#include "sweeper.h"

#define EXPORTED __attribute__((visibility("default")))

typedef long function(long, long, long, long, long, long);

/* 32-bit programs with a glibc before 2.34 and without libdl have no dlsym(3), and another name for
 * each function. Other libraries' constructors may call before this constructor has run. */
__attribute__((noinline)) static function *find(const char *name, function *other_name) {
    void *found = next_function(name);
    return found != NULL ? (function *)found : other_name;
}

__attribute__((noinline)) static function *enter(function *const *next, const char *name,
                                                 function *other_name) {
    sweeper_notice(0);
    return *next != NULL ? *next : find(name, other_name);
}

#define FORWARDED_CALLS(each)                                                                      \
    each(close, __close);                                                                          \
    each(fflush, _IO_fflush);                                                                      \
    each(fgets, _IO_fgets);                                                                        \
    each(fread, _IO_fread);                                                                        \
    each(fwrite, _IO_fwrite);                                                                      \
    each(nanosleep, __nanosleep);                                                                  \
    each(poll, __poll);                                                                            \
    each(puts, _IO_puts);                                                                          \
    each(read, __read);                                                                            \
    each(select, __select);                                                                        \
    each(send, __send);                                                                            \
    each(sigsuspend, __sigsuspend);                                                                \
    each(wait, __wait);                                                                            \
    each(waitpid, __waitpid);                                                                      \
    each(write, __write)

#define DEFINE(name, other_name)                                                                   \
    extern function other_name __attribute__((weak));                                              \
    static function *next_##name;                                                                  \
    EXPORTED long name(long a, long b, long c, long d, long e, long f) {                           \
        return enter(&next_##name, #name, other_name)(a, b, c, d, e, f);                           \
    }                                                                                              \
    _Static_assert(sizeof(function *) == sizeof(void *), "")
#define FIND(name, other_name) next_##name = find(#name, other_name)

FORWARDED_CALLS(DEFINE);

/* At the start, because dlsym locks. */
void forward_begin(void) {
    FORWARDED_CALLS(FIND);
}
