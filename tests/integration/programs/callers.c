/* Requests the time and random bytes as Lua and LuaJIT do, and as others do; prints the results,
 * one line each: name and value. */
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define ALONE __attribute__((noinline, noclone))
#define EXPORTED ALONE __attribute__((visibility("default")))

static void print_bytes(const char *name, const unsigned char *bytes, int count) {
    printf("%s ", name);
    for (int i = 0; i < count; i++)
        printf("%02x", bytes[i]);
    putchar('\n');
}

/* As lj_prng_seed_secure since 2023: unnamed, with several callers. */
ALONE static long fill(unsigned char *bytes) {
    long count = syscall(SYS_getrandom, bytes, 32L, 0L);
    __asm__ volatile("" ::: "memory");
    return count;
}

typedef long (*filler)(unsigned char *);

/* These names are the ones that the shim looks for. */
EXPORTED void lua_newstate(filler allocator) {
    unsigned char bytes[64];
    time_t now;
    printf("seeding-time %ld\n", (long)time(NULL));
    printf("time-by-address %ld\n", (long)(time(&now) == now ? now : -1));
    syscall(SYS_getrandom, bytes, 32L, 0L);
    print_bytes("seeding-bytes", bytes, 32);
    fill(bytes);
    print_bytes("seeding-bytes-by-nameless", bytes, 32);
    allocator(bytes);
    print_bytes("bytes-by-pointer", bytes, 32);
    syscall(SYS_getrandom, bytes, 64L, 0L);
    print_bytes("bytes-of-other-size", bytes, 64);
    syscall(SYS_getrandom, bytes, 32L, 1L);
    print_bytes("bytes-of-other-flags", bytes, 32);
}

EXPORTED long luaL_newstate(void) {
    long now = (long)time(NULL);
    printf("seeding-time-of-second %ld\n", now);
    return now;
}

EXPORTED void lua_newstates(void) {
    unsigned char bytes[32];
    printf("time-of-other-name %ld\n", (long)time(NULL));
    fill(bytes);
    print_bytes("bytes-of-other-name", bytes, 32);
}

int main(void) {
    unsigned char bytes[32];
    filler volatile allocator = fill;
    printf("time-of-main %ld\n", (long)time(NULL));
    lua_newstate(allocator);
    luaL_newstate();
    lua_newstates();
    syscall(SYS_getrandom, bytes, 32L, 0L);
    print_bytes("bytes-of-main", bytes, 32);
    printf("time-of-main-again %ld\n", (long)time(NULL));
    return 0;
}
