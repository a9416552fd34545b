/* vforks ROOT FILE: changes its root, lets 1,000 children of vfork(2) execute FILE there, and
 * returns whether it has become larger. Without words: ends at once, as such a child. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* proc_pid_statm(5): the first number is the size in pages. */
static long size_pages(int statm) {
    char text[128] = "";
    return pread(statm, text, sizeof text - 1, 0) > 0 ? strtol(text, NULL, 10) : -1;
}

static int execute(char *file) {
    char *words[] = {file, NULL};
    pid_t child = vfork();
    if (child == 0) {
        execve(file, words, environ);
        _exit(127);
    }
    int status = -1;
    return child > 0 && waitpid(child, &status, 0) == child ? status : -1;
}

int main(int argc, char **argv) {
    int statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (argc == 1)
        return 0;
    if (argc != 3 || statm < 0 || chroot(argv[1]) != 0 || chdir("/") != 0 || execute(argv[2]) != 0)
        return 99;
    long before = size_pages(statm);
    for (int i = 0; i < 1000; i++)
        if (execute(argv[2]) != 0)
            return 98;
    return size_pages(statm) > before;
}
