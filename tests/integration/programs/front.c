/* A library before others in LD_PRELOAD: its time is an hour late, and system calls go to the next
 * library. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>

time_t time(time_t *result) {
    time_t (*next)(time_t *) = (time_t(*)(time_t *))dlsym(RTLD_NEXT, "time");
    time_t late = next(NULL) - 3600;
    if (result != NULL)
        *result = late;
    return late;
}

long syscall(long number, long a, long b, long c, long d, long e, long f) {
    long (*next)(long, ...) = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
    return next(number, a, b, c, d, e, f);
}
