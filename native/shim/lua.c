/* Gives Lua and LuaJIT the group's seed, instead of the time or random bytes, in the functions that
 * make their hash tables differ from copy to copy, and through which no secret can pass.
 *
 * lua_newstate of Lua 5.2 to 5.4 (lstate.c: makeseed, luai_makeseed): time(NULL) and addresses make
 * global_State.seed, which only luaS_hash reads (lstring.c). os.time, math.random and others
 * request theirs in functions of their own (loslib.c, lmathlib.c). 5.1 has no seed; 5.5's
 * luaL_makeseed seeds math.random too, and is left alone (lauxlib.c).
 *
 * lua_newstate of LuaJIT 2.1 (lj_state.c), through lj_prng_seed_secure (lj_prng.c): 32 random bytes
 * make global_State.prng, which places allocations and machine code (lj_alloc.c, lj_mcode.c),
 * spreads string hashes and IDs (lj_str.c) and varies when code is compiled (lj_trace.c,
 * lj_record.c). math.random has a state of its own (lib_math.c), which since 2023 math.randomseed
 * also fills through lj_prng_seed_secure: so its callers are distinguished.
 *
 * luaL_newstate only calls the other, which a compiler may inline into it (lauxlib.c,
 * lib_aux.c). */
#include "lua.h"

#include <stdatomic.h>

#include "caller.h"
#include "imports.h"
#include "next.h"
#include "syscalls.h"

static const char *const names[] = {"lua_newstate", "luaL_newstate", NULL};
enum { CLOCK_REALTIME_COARSE = 5 };
enum { CALLERS = 32 };

static struct {
    bool is_given;
    unsigned char bytes[SEED_BYTES];
    long time;
    long (*real_time)(long *);
#if __SIZEOF_POINTER__ == 4
    long long (*real_time64)(long long *);
#endif
    /* Callers that are not meant. Those that are meant are not cached: their library may be
     * unloaded, and another function loaded at the address. */
    _Atomic uintptr_t others[CALLERS];
} lua;

static bool is_meant(uintptr_t caller) {
    /* Addresses of calls differ mostly in their low bits. */
    _Atomic uintptr_t *other = &lua.others[(caller ^ caller >> 6) % CALLERS];
    if (atomic_load_explicit(other, memory_order_relaxed) == caller)
        return false;
    if (caller_is_named(caller))
        return true;
    atomic_store_explicit(other, caller, memory_order_relaxed);
    return false;
}

bool lua_fill(uintptr_t caller, unsigned char *bytes, size_t count, unsigned flags) {
    if (!lua.is_given || count != SEED_BYTES || flags != 0)
        return false;
    if (!is_meant(caller) && !caller_is_called_by_named(caller))
        return false;
    for (size_t i = 0; i < count; i++)
        bytes[i] = lua.bytes[i];
    return true;
}

/* time_t is as wide as long: in 32-bit programs that is the one that ends in 2038. */
__attribute__((visibility("default"))) long time(long *result) {
    if (result == NULL && lua.is_given && is_meant((uintptr_t)__builtin_return_address(0)))
        return lua.time;
    if (lua.real_time != NULL)
        return lua.real_time(result);
    /* Implemented as in glibc and musl, through the vDSO. */
    struct {
        long seconds, nanoseconds;
    } now = {0, 0};
    SYSTEM_CALL(NUMBER_CLOCK_GETTIME, CLOCK_REALTIME_COARSE, (long)&now);
    if (result != NULL)
        *result = now.seconds;
    return now.seconds;
}

#if __SIZEOF_POINTER__ == 4
/* What programs call whose time_t has 64 bits: those for musl 1.2, and others if built so (time.h:
 * __REDIRECT_NTH, __REDIR). */
__attribute__((visibility("default"))) long long __time64(long long *result) {
    if (result == NULL && lua.is_given && is_meant((uintptr_t)__builtin_return_address(0)))
        return lua.time;
    if (lua.real_time64 != NULL)
        return lua.real_time64(result);
    struct {
        long long seconds, nanoseconds;
    } now = {0, 0};
    SYSTEM_CALL(NUMBER_CLOCK_GETTIME64, CLOCK_REALTIME_COARSE, (long)&now);
    if (result != NULL)
        *result = now.seconds;
    return now.seconds;
}
#endif

/* Functions of libraries before the shim; for the time they call libraries before or after it. */
static struct {
    long (*time)(long *);
    long (*syscall)(long, ...);
} in_front;

static long time_in_front(long *result) {
    if (result == NULL && is_meant((uintptr_t)__builtin_return_address(0)))
        return lua.time;
    return in_front.time(result);
}

static long syscall_in_front(long number, long a, long b, long c, long d, long e, long f) {
    if (number == NUMBER_GETRANDOM && lua_fill((uintptr_t)__builtin_return_address(0),
                                               (unsigned char *)a, (size_t)b, (unsigned)c))
        return b;
    return in_front.syscall(number, a, b, c, d, e, f);
}

/* Replaces functions of libraries in LD_PRELOAD that would answer before the shim (libfaketime:
 * the time). */
static void replace_in_front(void) {
    static const char line[] =
        "ksmrun: Lua keeps a hash seed of its own in this process: a library that stands before "
        "ksmrun's in LD_PRELOAD answers its questions; name that library in LD_PRELOAD of ksmrun "
        "itself, or after it\n";
    in_front.time = (long (*)(long *))imports_function("time");
    in_front.syscall = (long (*)(long, ...))imports_function("syscall");
    bool is_done = in_front.time == NULL || imports_replace(names, "time", (void *)time_in_front);
    if (in_front.syscall != NULL)
        is_done &= imports_replace(names, "syscall", (void *)syscall_in_front);
    if (!is_done)
        SYSTEM_CALL(NUMBER_WRITE, 2, (long)line, sizeof line - 1);
}

void lua_begin(const unsigned char *seed) {
    /* At the start, because dlsym locks. The next one is libc's, or that of another library that
     * replaces it. */
    lua.real_time = (long (*)(long *))next_function("time");
#if __SIZEOF_POINTER__ == 4
    lua.real_time64 = (long long (*)(long long *))next_function("__time64");
#endif
    if (seed == NULL)
        return;
    caller_begin(names);
    for (int i = 0; i < SEED_BYTES; i++)
        lua.bytes[i] = seed[i];
    /* A time that a clock could show. */
    for (int i = 0; i < 4; i++)
        lua.time = lua.time << 8 | lua.bytes[i];
    lua.time &= 0x7fffffff;
    lua.is_given = true;
    replace_in_front();
}
