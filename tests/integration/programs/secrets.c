/* secrets KIND SEED: the same eight pages of bytes twice, in memory got as a keeper of secrets gets
 * it, and in ordinary memory. Prints "SECRET-ADDRESS ORDINARY-ADDRESS PAGES", and waits for the end
 * of its stdin. 77: there is no such library here. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <grp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define UNPRIVILEGED 65534
#define PAGES 8
#define GROWTH 1024
#define PAGE ((size_t)4096)
#define BYTES (PAGES * PAGE)

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void *map(int flags) {
    void *at =
        mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
    if (at == MAP_FAILED)
        fail("mmap");
    return at;
}

static void *function(const char *library, const char *name) {
    void *handle = dlopen(library, RTLD_NOW);
    if (handle == NULL)
        exit(77);
    void *found = dlsym(handle, name);
    if (found == NULL)
        fail(name);
    return found;
}

static void *of_sodium(void) {
    static const char library[] = "libsodium.so.23";
    int (*init)(void) = (int (*)(void))function(library, "sodium_init");
    void *(*allocate)(size_t) = (void *(*)(size_t))function(library, "sodium_malloc");
    if (init() < 0)
        fail("sodium_init");
    return allocate(BYTES + PAGE);
}

static void *of_openssl(void) {
    static const char library[] = "libcrypto.so.3";
    int (*init)(size_t, size_t) =
        (int (*)(size_t, size_t))function(library, "CRYPTO_secure_malloc_init");
    void *(*allocate)(size_t, const char *, int) =
        (void *(*)(size_t, const char *, int))function(library, "CRYPTO_secure_malloc");
    if (init(4 * BYTES, 16) != 1)
        fail("CRYPTO_secure_malloc_init");
    return allocate(BYTES + PAGE, "", 0);
}

static void *of_gcrypt(void) {
    enum { INIT_SECMEM = 24, INITIALIZATION_FINISHED = 38 };
    static const char library[] = "libgcrypt.so.20";
    const char *(*check)(const char *) =
        (const char *(*)(const char *))function(library, "gcry_check_version");
    unsigned (*control)(int, ...) = (unsigned (*)(int, ...))function(library, "gcry_control");
    void *(*allocate)(size_t) = (void *(*)(size_t))function(library, "gcry_malloc_secure");
    if (check(NULL) == NULL || control(INIT_SECMEM, 4 * BYTES, 0) != 0 ||
        control(INITIALIZATION_FINISHED, 0) != 0)
        fail("gcry_control");
    return allocate(BYTES + PAGE);
}

static long direct(long number, long first, long second) {
#if defined(__x86_64__)
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(first), "S"(second)
                     : "rcx", "r11", "memory");
    return result;
#else
    (void)number, (void)first, (void)second;
    exit(77);
#endif
}

static void *get(const char *kind) {
    void *at;
    if (strcmp(kind, "sodium") == 0)
        return of_sodium();
    if (strcmp(kind, "openssl") == 0)
        return of_openssl();
    if (strcmp(kind, "gcrypt") == 0)
        return of_gcrypt();
    if (strcmp(kind, "mapped") == 0)
        return map(MAP_LOCKED);
    at = map(0);
    const struct rlimit none = {0, 0};
    if (strcmp(kind, "failed") == 0 && (setrlimit(RLIMIT_MEMLOCK, &none) != 0 ||
                                        setgroups(0, NULL) != 0 || setuid(UNPRIVILEGED) != 0))
        fail("setuid");
    if ((strcmp(kind, "locked") == 0 && mlock(at, BYTES) != 0) ||
        (strcmp(kind, "locked2") == 0 && mlock2(at, BYTES, MLOCK_ONFAULT) != 0) ||
        (strcmp(kind, "called") == 0 && syscall(SYS_mlock, at, BYTES) != 0) ||
        (strcmp(kind, "undumped") == 0 && madvise(at, BYTES, MADV_DONTDUMP) != 0) ||
        (strcmp(kind, "all") == 0 && mlockall(MCL_CURRENT) != 0) ||
        (strcmp(kind, "direct") == 0 && direct(SYS_mlock, (long)at, (long)BYTES) != 0))
        fail(kind);
    if (strcmp(kind, "failed") == 0 && mlock(at, BYTES) == 0)
        fail("mlock does not fail");
    return at;
}

static void fill(unsigned char *at, uint64_t state) {
    for (size_t i = 0; i < BYTES; i += sizeof state) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        memcpy(at + i, &state, sizeof state);
    }
}

int main(int argc, char **argv) {
    if (argc < 3)
        return 2;
    unsigned char *secret = get(argv[1]);
    if (secret == NULL)
        fail("no memory");
    secret += -(uintptr_t)secret & (PAGE - 1);
    unsigned char *ordinary = map(0);
    uint64_t seed = strtoull(argv[2], NULL, 10);
    fill(secret, seed);
    fill(ordinary, seed);
    /* A child that grows, and so is swept. */
    pid_t child = strcmp(argv[1], "all") == 0 ? fork() : -1;
    if (child == 0) {
        for (int i = 0; i < GROWTH; i++)
            fill(map(0), seed + i);
        return read(0, &(char){0}, 1) == 0 ? 0 : 1;
    }
    printf("%lx %lx %d\n", (long)secret, (long)ordinary, PAGES);
    if (fflush(stdout) != 0)
        return 1;
    char byte;
    return read(0, &byte, 1) == 0 ? 0 : 1;
}
