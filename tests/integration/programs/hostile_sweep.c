// Poses as the shim's thread (native/shim/): what it has open under the name of the status file
// is a FIFO, a device or a terminal of its own, bind-mounted there. Says "opened" once somebody
// opens it.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#define STATUS "memfd:ksmrun-sweep"

static void check(long result, const char *what) {
    if (result < 0) {
        perror(what);
        exit(1);
    }
}

static void write_text(const char *path, const char *text) {
    int file = open(path, O_WRONLY);
    check(file, path);
    check(write(file, text, strlen(text)), path);
    close(file);
}

static void *pose(void *unused) {
    prctl(PR_SET_NAME, "ksmrun-sweep");
    for (;;)
        pause();
    return unused;
}

static void own_namespaces(void) {
    char text[64];
    unsigned user = getuid(), group = getgid();
    check(unshare(CLONE_NEWUSER | CLONE_NEWNS), "unshare");
    write_text("/proc/self/setgroups", "deny");
    snprintf(text, sizeof text, "0 %u 1", user);
    write_text("/proc/self/uid_map", text);
    snprintf(text, sizeof text, "0 %u 1", group);
    write_text("/proc/self/gid_map", text);
    check(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "private");
}

int main(int count, char **words) {
    const char *kind = count > 1 ? words[1] : "fifo";
    const char *folder = count > 2 ? words[2] : "/tmp";
    char source[256], root[300], place[400];
    int terminal = -1, file;
    if (strcmp(kind, "terminal") == 0) {
        terminal = posix_openpt(O_RDWR | O_NOCTTY);
        check(terminal, "ptmx");
        check(grantpt(terminal) | unlockpt(terminal), "pty");
        snprintf(source, sizeof source, "%s", ptsname(terminal));
    } else if (strcmp(kind, "fifo") == 0) {
        snprintf(source, sizeof source, "%s/fifo", folder);
        check(mkfifo(source, 0666), "mkfifo");
    } else {
        snprintf(source, sizeof source, "%s", kind);
    }
    int fifo = strcmp(kind, "fifo") == 0 ? open(source, O_PATH) : -1;
    own_namespaces();
    snprintf(root, sizeof root, "%s/root", folder);
    check(mkdir(root, 0700), "mkdir");
    check(mount("none", root, "tmpfs", 0, NULL), "tmpfs");
    snprintf(place, sizeof place, "%s/" STATUS, root);
    file = open(place, O_CREAT | O_WRONLY, 0600);
    check(file, place);
    close(file);
    check(mount(source, place, NULL, MS_BIND, NULL), "bind");
    snprintf(place, sizeof place, "%s/old", root);
    check(mkdir(place, 0700), "old");
    check(syscall(SYS_pivot_root, root, place), "pivot_root");
    check(chdir("/"), "chdir");
    file = open("/" STATUS, O_PATH);
    check(file, STATUS);
    pthread_t thread;
    check(-pthread_create(&thread, NULL, pose, NULL), "thread");
    printf("ready\n");
    fflush(stdout);
    for (;;) {
        pid_t session = 0;
        int is_opened = 0;
        if (terminal >= 0)
            is_opened = ioctl(terminal, TIOCGSID, &session) == 0;
        if (fifo >= 0) {
            // Without a reader that is ENXIO (fifo(7)).
            int end = open("/" STATUS, O_WRONLY | O_NONBLOCK);
            is_opened = end >= 0;
            if (end >= 0)
                close(end);
        }
        if (is_opened) {
            printf("opened\n");
            fflush(stdout);
            break;
        }
        usleep(200);
    }
    for (;;)
        pause();
}
