/* report [ARG...]: prints one line of JSON: its PID, its merge flag (prctl 68), its arguments. With
 * WAIT in the environment it stays until a signal, which it reports before it ends. With ADDRESS it
 * prints the address of its code. With HOLD=MIB it first fills that much memory, with the same
 * content in all processes. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

static void print_string(const char *text) {
    putchar('"');
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < ' ')
            printf("\\u%04x", (unsigned)*text);
        else if (*text == '"' || *text == '\\')
            printf("\\%c", *text);
        else
            putchar(*text);
    }
    putchar('"');
}

int main(int argc, char **argv) {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    const char *hold = getenv("HOLD");
    if (hold != NULL) {
        size_t bytes = strtoul(hold, NULL, 10) << 20;
        unsigned long *words = malloc(bytes), next = 1;
        if (words == NULL)
            return 1;
        for (size_t index = 0; index < bytes / sizeof(*words); index++)
            words[index] = next = next * 6364136223846793005ul + 1442695040888963407ul;
        __asm__ volatile("" : : "r"(words) : "memory");
    }
    if (getenv("WAIT") != NULL && sigprocmask(SIG_BLOCK, &signals, NULL) != 0)
        return 1;
    printf("{\"pid\": %d, \"merges\": %d, \"main\": %lu, \"argv\": [", (int)getpid(),
           prctl(68, 0L, 0L, 0L, 0L), getenv("ADDRESS") != NULL ? (unsigned long)(void *)main : 0);
    for (int index = 0; index < argc; index++) {
        fputs(index > 0 ? ", " : "", stdout);
        print_string(argv[index]);
    }
    puts("]}");
    fflush(stdout);
    if (getenv("WAIT") != NULL) {
        int number;
        if (sigwait(&signals, &number) != 0)
            return 1;
        printf("got %d\n", number);
    }
    return 0;
}
