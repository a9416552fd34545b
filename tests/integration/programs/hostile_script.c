// A program that merges, whose script is now a script, now a FIFO. Says "opened" once somebody
// waits for the FIFO's other end.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef PR_SET_MEMORY_MERGE
#define PR_SET_MEMORY_MERGE 67
#endif

int main(int count, char **words) {
    // Called as an interpreter is: PROGRAM SCRIPT, in the folder of the script.
    if (count < 2 || prctl(PR_SET_MEMORY_MERGE, 1, 0, 0, 0) != 0) {
        perror("merge");
        return 1;
    }
    int file = open(words[1], O_CREAT | O_WRONLY, 0644);
    if (file < 0 || write(file, "#!/bin/sh\n", 10) != 10 || mkfifo("fifo", 0644) != 0) {
        perror("files");
        return 1;
    }
    close(file);
    printf("ready\n");
    fflush(stdout);
    for (int opened = 0;;) {
        if (renameat2(AT_FDCWD, words[1], AT_FDCWD, "fifo", RENAME_EXCHANGE) != 0)
            return 1;
        const char *names[] = {words[1], "fifo"};
        for (int i = 0; i < 2 && !opened; i++) {
            struct stat status;
            // Of the two only the FIFO is not to be opened; a reader lets this open succeed.
            int end = lstat(names[i], &status) == 0 && S_ISFIFO(status.st_mode)
                          ? open(names[i], O_WRONLY | O_NONBLOCK)
                          : -1;
            if (end >= 0) {
                opened = fstat(end, &status) == 0 && S_ISFIFO(status.st_mode);
                close(end);
            }
            if (opened) {
                printf("opened\n");
                fflush(stdout);
            }
        }
    }
}
