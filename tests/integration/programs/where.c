/* where [WHAT]: prints the addresses of its parts as JSON. deep: fills most of its stack first.
 * overflow: fills more than all of it. wait: waits for a signal afterwards. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { FRAME_BYTES = 4096 };

static long descend(long frames) {
    volatile char frame[FRAME_BYTES];
    frame[0] = (char)frames;
    return frames > 0 ? descend(frames - 1) + frame[0] : 0;
}

int main(int argc, char **argv) {
    int local = 0;
    struct rlimit stack;
    struct timespec now;
    if (getrlimit(RLIMIT_STACK, &stack) != 0 || clock_gettime(CLOCK_REALTIME, &now) != 0)
        return 1;
    if (argc > 1 && strcmp(argv[1], "deep") == 0)
        descend((long)(stack.rlim_cur / 10 * 9 / FRAME_BYTES));
    if (argc > 1 && strcmp(argv[1], "overflow") == 0)
        descend((long)(stack.rlim_cur * 2 / FRAME_BYTES));
    void *area = mmap(NULL, 1 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    unsigned char *random = (unsigned char *)getauxval(AT_RANDOM);
    printf("{\"program\": %lu, \"local\": %lu, \"mmap\": %lu, \"brk\": %lu, \"vdso\": %lu,\n",
           (unsigned long)(void *)main, (unsigned long)&local, (unsigned long)area,
           (unsigned long)syscall(SYS_brk, 0), getauxval(AT_SYSINFO_EHDR));
    printf("\"personality\": %d, \"stack_limit\": %ld, \"random\": %d, \"execfn\": \"%s\",\n",
           personality(0xffffffff), (long)stack.rlim_cur, random[0] << 8 | random[1],
           (char *)getauxval(AT_EXECFN));
    sigset_t pending;
    sigpending(&pending);
    printf("\"children\": %d, \"child_signals\": %d,\n",
           waitpid(-1, NULL, WNOHANG) != -1 || errno != ECHILD, sigismember(&pending, SIGCHLD));
    printf("\"argc\": %d, \"dumpable\": %d}\n", argc, prctl(PR_GET_DUMPABLE, 0L, 0L, 0L, 0L));
    if (argc > 1 && strcmp(argv[1], "wait") == 0 && fflush(stdout) == 0)
        pause();
    return 0;
}
