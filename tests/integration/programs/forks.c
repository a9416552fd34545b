/* forks: as CPython 3.12, before whose forks the shim's thread steps aside; two threads fork at
 * once, a thousand times. Prints "ready" when no fork is in progress, and waits for the end of
 * stdin. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BYTES = 16 << 20, ROUNDS = 1000 };

const unsigned long Py_Version = 0x030c00f0;
static pthread_barrier_t both;

static void *fork_often(void *unused) {
    for (int i = 0; i < ROUNDS; i++) {
        pthread_barrier_wait(&both);
        pid_t child = fork();
        if (child == 0)
            _exit(0);
        if (child < 0 || waitpid(child, NULL, 0) != child)
            exit(99);
    }
    return unused;
}

int main(void) {
    pthread_t other;
    pthread_barrier_init(&both, NULL, 2);
    if (pthread_create(&other, NULL, fork_often, NULL) != 0)
        return 98;
    fork_often(NULL);
    pthread_join(other, NULL);
    char *area = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (area == MAP_FAILED)
        return 97;
    memset(area, 1, BYTES);
    puts("ready");
    fflush(stdout);
    while (getchar() != EOF)
        continue;
    return 0;
}
