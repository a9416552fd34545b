#include "vmas.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "reader.h"

static enum kind kind_of(char privacy, const char *name) {
    if (strncmp(name, "[v", 2) == 0)
        return KIND_KERNELS;
    if (privacy != 'p')
        return KIND_SHARED;
    if (strcmp(name, "[heap]") == 0)
        return KIND_HEAP;
    if (strcmp(name, "[stack]") == 0)
        return KIND_STACK;
    return name[0] == '/' ? KIND_FILE : KIND_ANONYMOUS;
}

/* FNV-1a. */
static uint64_t hash_text(const char *text) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (; *text != '\0'; text++)
        hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    return hash;
}

/* "START-END rwxp OFFSET MAJOR:MINOR INODE   NAME\n"; a name may contain blanks. */
static struct vma parse(char *line, const char *program) {
    char *at;
    struct vma vma = {.start = strtoull(line, &at, 16)};
    vma.end = strtoull(*at == '-' ? at + 1 : at, &at, 16);
    at += strspn(at, " ");
    vma.is_reserved = strncmp(at, "---", 3) == 0;
    char privacy = strnlen(at, 4) == 4 ? at[3] : 's';
    at += strcspn(at, " ");
    vma.offset = strtoull(at, &at, 16);
    for (int fields = 0; fields < 2; fields++) {
        at += strspn(at, " ");
        at += strcspn(at, " ");
    }
    at += strspn(at, " ");
    at[strcspn(at, "\n")] = '\0';
    vma.kind = kind_of(privacy, at);
    vma.file = at[0] == '/' ? hash_text(at) : 0;
    vma.is_program = program[0] != '\0' && strcmp(at, program) == 0;
    return vma;
}

static bool add(struct vmas *vmas, struct vma vma) {
    if (vmas->count == vmas->capacity) {
        size_t capacity = vmas->capacity == 0 ? 256 : vmas->capacity * 2;
        struct vma *items = realloc(vmas->items, capacity * sizeof *items);
        if (items == NULL)
            return false;
        vmas->items = items;
        vmas->capacity = capacity;
    }
    vmas->items[vmas->count++] = vma;
    return true;
}

int vmas_read(int process, struct vmas *vmas) {
    char program[PATH_MAX] = "";
    ssize_t length = readlinkat(process, "exe", program, sizeof program - 1);
    program[length < 0 ? 0 : length] = '\0';
    int descriptor = openat(process, "maps", O_RDONLY | O_CLOEXEC);
    FILE *maps = descriptor < 0 ? NULL : fdopen(descriptor, "r");
    if (maps == NULL) {
        int error = errno;
        if (descriptor >= 0)
            close(descriptor);
        return -error;
    }
    char *line = NULL;
    size_t size = 0;
    vmas->count = 0;
    bool is_whole = true;
    errno = 0;
    while (is_whole && getline(&line, &size, maps) > 0) {
        is_whole = add(vmas, parse(line, program));
        reader_tick();
    }
    int error = is_whole && ferror(maps) == 0 ? 0 : errno != 0 ? errno : EIO;
    free(line);
    fclose(maps);
    return -error;
}
