/* Starts many short processes one after the other, and counts the results.
 *
 * churn fork|vfork|spawn|thread COUNT: `thread` forks beside a running thread of its own. Prints
 * how many ended as expected, and the growth in its threads and descriptors. */
#define _GNU_SOURCE
#include <dirent.h>
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static int entries(const char *path) {
    DIR *folder = opendir(path);
    int count = 0;
    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

/* Keeps libc's allocator locked now and then, so that a fork can happen at any moment of it. */
static void *allocate(void *stop) {
    while (!*(volatile int *)stop)
        free(malloc(1 << 18));
    return NULL;
}

static int child(int number) {
    char *memory = malloc(1 << 16);
    memset(memory, number, 1 << 16);
    void *area = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return area == MAP_FAILED ? 255 : memory[number] & 127;
}

static pid_t start(const char *way, int number) {
    char text[8], *arguments[] = {"sh", "-c", "exit $0", text, NULL};
    snprintf(text, sizeof text, "%d", number);
    if (strcmp(way, "spawn") == 0) {
        pid_t pid = -1;
        posix_spawn(&pid, "/bin/sh", NULL, NULL, arguments, environ);
        return pid;
    }
    pid_t pid = strcmp(way, "vfork") == 0 ? vfork() : fork();
    if (pid == 0) {
        if (strcmp(way, "vfork") == 0)
            execv("/bin/sh", arguments);
        _exit(child(number));
    }
    return pid;
}

int main(int argc, char **argv) {
    (void)argc;
    int count = atoi(argv[2]), good = 0, stop = 0, status = 0;
    pthread_t thread;
    int has_thread = strcmp(argv[1], "thread") == 0;
    if (has_thread)
        pthread_create(&thread, NULL, allocate, &stop);
    int threads = entries("/proc/self/task"), files = entries("/proc/self/fd");
    for (int i = 0; i < count; i++) {
        pid_t pid = start(argv[1], i % 100);
        good += pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
                WEXITSTATUS(status) == i % 100;
    }
    threads = entries("/proc/self/task") - threads;
    files = entries("/proc/self/fd") - files;
    stop = 1;
    if (has_thread)
        pthread_join(thread, NULL);
    printf("%d good, %d threads more, %d descriptors more, %s\n", good, threads, files,
           waitpid(-1, NULL, WNOHANG) == -1 ? "no child left" : "children left");
    return 0;
}
