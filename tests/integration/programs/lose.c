/* lose COMMAND: clears the merge flag and executes COMMAND. Between launcher and program it
 * simulates the kernels that lose the flag at exec, 6.4 to 6.6. */
#include <sys/prctl.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc < 2 || prctl(67, 0L, 0L, 0L, 0L) != 0)
        return 99;
    execv(argv[1], argv + 1);
    return 98;
}
