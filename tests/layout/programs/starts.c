/* starts FILE...: runs them one after the other, each as a child. */
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        int status;
        pid_t child = fork();
        if (child == 0) {
            execl(argv[i], argv[i], (char *)NULL);
            _exit(127);
        }
        if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
            return 1;
    }
    return 0;
}
