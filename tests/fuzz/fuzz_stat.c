/* /proc/PID/stat and status: the process chooses its name and its groups. */
#include "fuzz.h"

#include <sys/stat.h>

#include "process.h"
#include "procfile.h"

static int folder(void) {
    static int opened = -1;
    char path[] = "/tmp/ksmrun-fuzz-XXXXXX";
    if (opened >= 0)
        return opened;
    PROMISE(mkdtemp(path) != NULL);
    opened = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    PROMISE(opened >= 0 && mkdirat(opened, "task", 0700) == 0 &&
            mkdirat(opened, "task/1", 0700) == 0);
    return opened;
}

static void put(const char *name, const char *path) {
    unlinkat(folder(), name, 0);
    PROMISE(symlinkat(path, folder(), name) == 0);
}

static void remove_all(void) {
    static const char *const names[] = {"stat", "task/1/stat", "task/1/status", "task/1/wchan"};
    char link[32], path[64];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unlinkat(folder(), names[i], 0);
    unlinkat(folder(), "task/1", AT_REMOVEDIR);
    unlinkat(folder(), "task", AT_REMOVEDIR);
    snprintf(link, sizeof link, "/proc/self/fd/%d", folder());
    ssize_t length = readlink(link, path, sizeof path - 1);
    path[length < 0 ? 0 : length] = '\0';
    rmdir(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct pidstat stat;
    static bool is_begun;
    char path[32], value[16];
    if (!is_begun)
        PROMISE(atexit(remove_all) == 0);
    is_begun = true;
    char *text = fuzz_text(data, size);
    if (pidstat_parse(text, size, &stat))
        PROMISE(memrchr(data, ')', size) != NULL);
    free(text);

    int file = fuzz_file(data, size, path);
    struct process process = {1, folder()};
    put("stat", path);
    put("task/1/stat", path);
    put("task/1/status", path);
    put("task/1/wchan", path);
    process_state(&process);
    process_thread(&process);
    thread_is_frozen(&process, 1);
    thread_faults(&process, 1);
    if (thread_field(&process, 1, "NoNewPrivs:", value, sizeof value))
        PROMISE(memchr(value, '\0', sizeof value) != NULL && value[0] != ' ');
    if (procfile_row(path, "Seccomp", value, sizeof value))
        PROMISE(memchr(value, '\0', sizeof value) != NULL && memmem(data, size, "Seccomp:", 8));
    close(file);
    return 0;
}
