#include "loader.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "../common/procfile.h"

static bool begins(const char *text, const char *with) {
    return strncmp(text, with, strlen(with)) == 0;
}

/* musl's loader is its libc.so too; programs are called otherwise. */
static bool is_loader(const char *file) {
    static const char *const names[] = {"ld-linux", "ld-musl", "ld64.so", "ld.so", "ld-2."};
    const char *slash = strrchr(file, '/'), *name = slash == NULL ? file : slash + 1;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (begins(name, names[i]))
            return true;
    return strcmp(name, "libc.so") == 0;
}

/* glibc: elf/rtld.c (dl_main); musl: ldso/dynlink.c (__dls3), which also takes NAME=VALUE. */
static bool takes_value(const char *option) {
    static const char *const options[] = {
        "--library-path",      "--inhibit-rpath",        "--audit", "--preload", "--argv0",
        "--glibc-hwcaps-mask", "--glibc-hwcaps-prepend",
    };
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        if (strcmp(option, options[i]) == 0)
            return true;
    return false;
}

static const char *next_word(const char *word, const char *end) {
    const char *zero = word == NULL ? NULL : memchr(word, '\0', (size_t)(end - word));
    return zero == NULL || zero + 1 >= end ? NULL : zero + 1;
}

const char *loader_program(const char *file, const char *words, size_t bytes) {
    const char *end = words + bytes, *word = is_loader(file) ? next_word(words, end) : NULL;
    for (; word != NULL && begins(word, "--"); word = next_word(word, end)) {
        if (word[2] == '\0') {
            word = next_word(word, end);
            break;
        }
        if (takes_value(word))
            word = next_word(word, end);
    }
    /* The last one may be cut off. */
    return word == NULL || memchr(word, '\0', (size_t)(end - word)) == NULL ? NULL : word;
}

bool loader_look_through(pid_t pid, const char *exe, char *file, size_t file_bytes) {
    char path[32], words[4096];
    struct stat status;
    snprintf(path, sizeof path, "/proc/%d/cmdline", pid);
    ssize_t length = procfile_read(path, words, sizeof words);
    const char *program = length <= 0 ? NULL : loader_program(exe, words, (size_t)length);
    if (program != NULL) {
        snprintf(file, file_bytes, "/proc/%d/%s/%s", pid, *program == '/' ? "root" : "cwd",
                 program);
        /* A device is not opened, and a FIFO never waited for. */
        if (stat(file, &status) == 0 && S_ISREG(status.st_mode))
            return true;
    }
    snprintf(file, file_bytes, "/proc/%d/exe", pid);
    return false;
}
