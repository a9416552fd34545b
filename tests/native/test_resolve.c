#include "unit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../native/layout/resolve.h"

enum { ITS_DESCRIPTOR = 77, ITS_MEMFD };

static char folder[] = "/tmp/ksmrun-resolve-XXXXXX", its_folder[64];
static pid_t pid;

/* Of this process and the other, only the latter has the folder and the descriptor. */
static int begin(void **state) {
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    int ready[2];
    if (pipe(ready) != 0 || (pid = fork()) < 0)
        return -1;
    if (pid == 0) {
        if (chdir(folder) != 0 || mkdir("deep", 0755) != 0 || symlink("deep", "link") != 0 ||
            symlink("/proc/self/cwd", "via") != 0 || symlink("loop", "loop") != 0 ||
            symlink("../../../proc/./thread-self//fd/77", "deep/descriptor") != 0)
            _exit(1);
        int file = open("deep/file", O_CREAT | O_RDWR, 0644);
        int nameless = memfd_create("deep/file", 0);
        if (file < 0 || dup2(file, ITS_DESCRIPTOR) < 0 || dup2(nameless, ITS_MEMFD) < 0 ||
            write(ready[1], "r", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    char byte;
    snprintf(its_folder, sizeof its_folder, "/proc/%d/cwd", pid);
    close(ready[1]);
    return read(ready[0], &byte, 1) == 1 ? 0 : -1;
}

static int end(void **state) {
    (void)state;
    char command[sizeof folder + 16];
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

static void assert_same(const char *name, const char *expected) {
    char path[512];
    struct stat found, wanted;
    assert_true(resolve_for(pid, its_folder, name, path, sizeof path));
    if (stat(path, &found) != 0)
        fail_msg("%s became %s, which is not there", name, path);
    assert_int_equal(stat(expected, &wanted), 0);
    if (found.st_ino != wanted.st_ino || found.st_dev != wanted.st_dev)
        fail_msg("%s became %s, which is another file than %s", name, path, expected);
}

static void test_names_mean_what_they_mean_there(void **state) {
    (void)state;
    char file[64], absolute[128];
    snprintf(file, sizeof file, "%s/deep/file", folder);
    static const char *const names[] = {
        "deep/file",
        "./deep//file",
        "link/file",
        "deep/descriptor",
        "link/../deep/file",
        "via/deep/file",
        "via/via/link/file",
        "/proc/self/cwd/deep/file",
        "/proc/thread-self/cwd/link/file",
        "/proc/self/root/proc/self/cwd/deep/file",
        "/proc/self/fd/77",
        "/dev/fd/77",
        "/proc/../proc/self/fd/77",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_same(names[i], file);
    snprintf(absolute, sizeof absolute, "%s/via/deep/file", folder);
    assert_same(absolute, file);
    snprintf(absolute, sizeof absolute, "/proc/%d/fd/77", pid);
    assert_same(absolute, file);
    /* The text of its link is no path. */
    snprintf(absolute, sizeof absolute, "/proc/%d/fd/78", pid);
    assert_same("/dev/fd/78", absolute);
    assert_same("", folder);
    assert_same(".", folder);
    assert_same("/", "/");
    assert_same("..", "/tmp");
}

static void test_what_leads_nowhere(void **state) {
    (void)state;
    char path[512], name[9000];
    assert_false(resolve_for(pid, its_folder, "loop", path, sizeof path));
    assert_false(resolve_for(pid, its_folder, "deep/file", path, 20));
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    assert_false(resolve_for(pid, its_folder, name, path, sizeof path));
    /* What is not there keeps its name, so that a call with it fails. */
    assert_true(resolve_for(pid, its_folder, "missing/file", path, sizeof path));
    assert_non_null(strstr(path, "/cwd/missing/file"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_mean_what_they_mean_there),
        cmocka_unit_test(test_what_leads_nowhere),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
