/* disturb kill-helper|stop COUNT COMMAND...: starts the command repeatedly, and at a random moment
 * while it is traced kills its tracer, or stops and continues the command. Prints how often the
 * output was the same as without disturbance, how often it was killed without output, and how often
 * anything else happened. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { OUTPUT_BYTES = 4096, POLLS_MAX = 100000 };

struct run {
    char output[OUTPUT_BYTES];
    int status;
    long traced_ns;
};

static long now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000L + now.tv_nsec;
}

/* Tracer of the process whose status is open; 0 for none, -1 when it has ended. */
static pid_t tracer(int file) {
    char text[4096];
    ssize_t length = pread(file, text, sizeof text - 1, 0);
    text[length < 0 ? 0 : length] = '\0';
    const char *at = strstr(text, "TracerPid:");
    return length <= 0 || strstr(text, "\nState:\tZ") != NULL || at == NULL ? -1 : atoi(at + 10);
}

static pid_t start(char **command, int *output) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        exit(95);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], 1);
        dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), 2);
        execvp(command[0], command);
        _exit(127);
    }
    close(ends[1]);
    *output = ends[0];
    return child;
}

static void disturb(const char *what, pid_t child, pid_t helper) {
    if (strcmp(what, "kill-helper") == 0) {
        kill(helper, SIGKILL);
    } else if (strcmp(what, "stop") == 0) {
        kill(child, SIGSTOP);
        usleep(1000);
        kill(child, SIGCONT);
    }
}

static struct run run(const char *what, long delay_ns, char **command) {
    struct run run = {.status = -1};
    char path[32];
    int output;
    pid_t child = start(command, &output), helper = 0;
    snprintf(path, sizeof path, "/proc/%d/status", child);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    for (int i = 0; i < POLLS_MAX && (helper = tracer(file)) == 0; i++)
        usleep(10);
    long seen = now_ns();
    while (helper > 0 && tracer(file) == helper && now_ns() - seen < delay_ns)
        usleep(10);
    run.traced_ns = now_ns() - seen;
    if (helper > 0)
        disturb(what, child, helper);
    close(file);
    for (size_t length = 0; length < sizeof run.output - 1;) {
        ssize_t more = read(output, run.output + length, sizeof run.output - 1 - length);
        if (more <= 0)
            break;
        length += (size_t)more;
    }
    close(output);
    waitpid(child, &run.status, 0);
    return run;
}

/* Values that are random in each process are ignored. */
static bool is_equal(const struct run *run, const struct run *other) {
    size_t line = strcspn(run->output, "\n");
    return run->status == other->status && strncmp(run->output, other->output, line) == 0;
}

int main(int argc, char **argv) {
    if (argc < 4)
        return 2;
    struct run undisturbed = run("nothing", 10000000000L, argv + 3);
    double within_ns = (double)undisturbed.traced_ns;
    int ran = 0, killed = 0, other = 0;
    srand(1);
    for (int i = 0; i < atoi(argv[2]); i++) {
        struct run disturbed = run(argv[1], (long)(within_ns * rand() / RAND_MAX), argv + 3);
        bool is_killed = WIFSIGNALED(disturbed.status) && WTERMSIG(disturbed.status) == SIGKILL &&
                         disturbed.output[0] == '\0';
        if (is_equal(&undisturbed, &disturbed))
            ran++;
        else if (is_killed)
            killed++;
        else
            other++;
        /* So that about half are killed, however busy the machine is. */
        within_ns *= is_killed ? 1.1 : killed > 0 ? 0.9 : 1;
    }
    printf("%d %d %d\n", ran, killed, other);
    return undisturbed.status != 0;
}
