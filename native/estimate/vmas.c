#include "vmas.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "../common/lines.h"
#include "../common/maps.h"
#include "reader.h"

/* The path of a file may be PATH_MAX long, and what is before it takes less than 128. */
enum { LINE_BYTES = PATH_MAX + 128 };

static enum kind kind_of(const struct vma *vma, const char *name) {
    if (vma->is_kernels)
        return KIND_KERNELS;
    if (vma->perms[3] != 'p')
        return KIND_SHARED;
    if (vma->is_heap)
        return KIND_HEAP;
    if (vma->is_main_stack)
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

/* Returns false for a line that describes no mapping. */
static bool parse(const char *line, const char *program, struct mapping *mapping) {
    struct vma vma;
    const char *name = maps_read_line(line, &vma);
    if (name == NULL)
        return false;
    *mapping = (struct mapping){
        .start = vma.start,
        .end = vma.end,
        .kind = kind_of(&vma, name),
        .is_program = program[0] != '\0' && strcmp(name, program) == 0,
        .offset = vma.offset,
        .file = name[0] == '/' ? hash_text(name) : 0,
        .is_reserved = memcmp(vma.perms, "---", 3) == 0,
    };
    return true;
}

static bool add(struct vmas *vmas, struct mapping mapping) {
    if (vmas->count == vmas->capacity) {
        size_t capacity = vmas->capacity == 0 ? 256 : vmas->capacity * 2;
        struct mapping *items = realloc(vmas->items, capacity * sizeof *items);
        if (items == NULL)
            return false;
        vmas->items = items;
        vmas->capacity = capacity;
    }
    vmas->items[vmas->count++] = mapping;
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
    char line[LINE_BYTES];
    vmas->count = 0;
    bool is_whole = true;
    errno = 0;
    while (is_whole && line_next(maps, line, sizeof line)) {
        struct mapping mapping;
        is_whole = !parse(line, program, &mapping) || add(vmas, mapping);
        reader_tick();
    }
    int error = is_whole && ferror(maps) == 0 ? 0 : errno != 0 ? errno : EIO;
    fclose(maps);
    return -error;
}
