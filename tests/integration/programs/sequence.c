/* Spins in a restartable sequence (rseq(2)) that ends by being aborted only, as by the alarm of
 * each millisecond; for each line of stdin prints how often it was. Where it resumes in the
 * sequence and the kernel has forgotten that, it is never aborted again.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/rseq.h>
#include <sys/time.h>

static atomic_ulong aborts;

static void *answer(void *unused) {
    (void)unused;
    char line[8];
    while (fgets(line, sizeof line, stdin) != NULL) {
        printf("%lu\n", atomic_load(&aborts));
        fflush(stdout);
    }
    exit(0);
}

static void on_alarm(int number) {
    (void)number;
}

static void spin(struct rseq *registered) {
    /* include/uapi/linux/rseq.h: struct rseq_cs; the signature is that of libc (sys/rseq.h). */
    __asm__ goto(".pushsection sequences, \"aw\"\n"
                 ".balign 32\n"
                 "1: .long 0, 0\n"
                 ".quad 2f, 3f - 2f, 4f\n"
                 ".popsection\n"
                 "lea 1b(%%rip), %%rax\n"
                 "mov %%rax, %0\n"
                 "2: pause\n"
                 "jmp 2b\n"
                 "3: ud2\n"
                 ".long 0x53053053\n"
                 "4: jmp %l[aborted]\n"
                 :
                 : "m"(registered->rseq_cs)
                 : "rax", "memory"
                 : aborted);
aborted:
    atomic_fetch_add(&aborts, 1);
}

int main(void) {
    if (__rseq_size == 0)
        return 1;
    pthread_t other;
    sigset_t alarms;
    sigemptyset(&alarms);
    sigaddset(&alarms, SIGALRM);
    struct itimerval each = {{0, 1000}, {0, 1000}};
    /* Only the spinning thread has them. */
    if (pthread_sigmask(SIG_BLOCK, &alarms, NULL) != 0 ||
        pthread_create(&other, NULL, answer, NULL) != 0 ||
        pthread_sigmask(SIG_UNBLOCK, &alarms, NULL) != 0 || signal(SIGALRM, on_alarm) == SIG_ERR ||
        setitimer(ITIMER_REAL, &each, NULL) != 0)
        return 1;
    puts("spins");
    fflush(stdout);
    for (;;)
        spin((struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset));
}
