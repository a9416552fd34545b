/* A preload with faults, to show that the comparison detects each. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <unistd.h>

#define IS(name) (strcmp(FAULT, name) == 0)

__attribute__((constructor)) static void begin(void) {
    if (IS("file"))
        close(open("/run/left", O_CREAT | O_WRONLY, 0644));
    if (IS("process") && access("/tmp/once", F_OK) != 0) {
        close(open("/tmp/once", O_CREAT | O_WRONLY, 0644));
        if (fork() == 0) {
            for (int i = 0; i < 3; i++)
                close(i);
            sleep(1000);
        }
        unlink("/tmp/once");
    }
    if (IS("ipc"))
        shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
    if (IS("output"))
        write(2, "noise\n", 6);
    if (IS("descriptor"))
        dup(0);
}

pid_t fork(void) {
    pid_t (*next)(void) = (pid_t(*)(void))dlsym(RTLD_NEXT, "fork");
    static int count;
    if (IS("lost fork") && ++count % 100 == 0) {
        errno = EAGAIN;
        return -1;
    }
    return next();
}

int madvise(void *start, size_t bytes, int advice) {
    int (*next)(void *, size_t, int) = (int (*)(void *, size_t, int))dlsym(RTLD_NEXT, "madvise");
    static int count;
    if (IS("crash") && ++count == 1000)
        abort();
    int result = next(start, bytes, advice);
    if (IS("errno"))
        errno = 0;
    if (IS("madvise") && advice == MADV_DONTNEED)
        return 0 * next(start, bytes, MADV_WILLNEED);
    return result;
}

void *mremap(void *start, size_t old, size_t new, int flags, ...) {
    va_list list;
    va_start(list, flags);
    void *wanted = va_arg(list, void *);
    va_end(list);
    void *(*next)(void *, size_t, size_t, int, void *) =
        (void *(*)(void *, size_t, size_t, int, void *))dlsym(RTLD_NEXT, "mremap");
    if (IS("no mremap")) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    return next(start, old, new, flags, wanted);
}
