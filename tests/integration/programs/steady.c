/* steady SECONDS: computes sums in all registers of a program, and sends signals to itself; prints
 * whether all results are correct. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t alarms, users;

static void count_alarm(int signal) {
    (void)signal;
    alarms++;
}

static void count_user(int signal) {
    (void)signal;
    users++;
}

typedef double quad __attribute__((vector_size(32)));

/* Different in every round, and predictable. */
static double vectors(long round) {
    quad one = {1, 2, 3, 4}, sum = {0};
    for (long i = 0; i < 1000; i++)
        sum += one * (double)((round + i) % 7);
    return sum[0] + sum[1] + sum[2] + sum[3];
}

static uint64_t integers(uint64_t round) {
    uint64_t a = round, b = 1, c = 2, d = 3, e = 5, f = 8;
    for (int i = 0; i < 1000; i++) {
        a = a * 6364136223846793005u + b;
        b ^= a >> 7, c += b, d ^= c << 3, e += d, f ^= e;
    }
    return a ^ b ^ c ^ d ^ e ^ f;
}

int main(int argc, char **argv) {
    double seconds = argc > 1 ? atof(argv[1]) : 1;
    struct sigaction action = {.sa_handler = count_alarm, .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &action, NULL);
    action.sa_handler = count_user;
    sigaction(SIGUSR2, &action, NULL);
    struct itimerval each = {{0, 500}, {0, 500}};
    setitimer(ITIMER_REAL, &each, NULL);
    puts("ready");
    fflush(stdout);
    double vector_sums[7];
    for (long i = 0; i < 7; i++)
        vector_sums[i] = vectors(i);
    uint64_t integer_sum = integers(9);
    int sent = 0, wrong = 0;
    struct timespec begin, now;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    do {
        for (long i = 0; i < 200; i++)
            wrong += vectors(i) != vector_sums[i % 7] || integers(9) != integer_sum;
        if (kill(getpid(), SIGUSR2) == 0)
            sent++;
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((double)(now.tv_sec - begin.tv_sec) + (double)(now.tv_nsec - begin.tv_nsec) / 1e9 <
             seconds);
    printf("wrong %d lost %d alarms %s\n", wrong, sent - (int)users, alarms > 10 ? "come" : "lack");
    return 0;
}
