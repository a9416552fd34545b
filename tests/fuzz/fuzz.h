/* Shared by the harnesses: a broken promise ends the run, as a crash does. */
#ifndef KSMRUN_FUZZ_H
#define KSMRUN_FUZZ_H

#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PROMISE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* Returns a NUL-terminated copy with bounds of its own; free it. */
static inline char *fuzz_text(const uint8_t *data, size_t size) {
    char *text = malloc(size + 1);
    PROMISE(text != NULL);
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    return text;
}

/* A file with these bytes; each open of its path starts at 0. */
static inline int fuzz_file(const uint8_t *data, size_t size, char path[32]) {
    int file = memfd_create("fuzz", MFD_CLOEXEC);
    PROMISE(file >= 0 && write(file, data, size) == (ssize_t)size);
    snprintf(path, 32, "/proc/self/fd/%d", file);
    return file;
}

/* Splits text at NULs into a NULL-terminated list of at most 64 words, which point into text. */
static inline int fuzz_words(char *text, size_t size, char *words[65]) {
    int count = 0;
    for (size_t at = 0; at < size && count < 64; at += strlen(text + at) + 1)
        words[count++] = text + at;
    words[count] = NULL;
    return count;
}

#endif
