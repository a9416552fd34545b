/* A program's auxv, maps, stat and ELF headers. The input consists of these files, each after its
 * length in two bytes; the last is the program. */
#include "fuzz.h"

#include <elf.h>

#include "../../native/common/maps.h"
#include "../../native/common/procfile.h"
#include "../../native/layout/image.h"

enum { AUXV, MAPS, STAT, EXE, FILES };
static struct {
    const uint8_t *bytes;
    size_t size;
} files[FILES];

static int open_input(const char *path, int flags) {
    static const char *const names[FILES] = {"auxv", "maps", "stat", "exe"};
    char other[32];
    const char *name = strrchr(path, '/') + 1;
    (void)flags;
    for (int i = 0; i < FILES; i++) {
        if (strcmp(name, names[i]) != 0)
            continue;
        int file = fuzz_file(files[i].bytes, files[i].size, other);
        PROMISE(lseek(file, 0, SEEK_SET) == 0);
        return file;
    }
    abort();
}

static bool stat_of_input(int directory, const char *path, struct pidstat *stat) {
    char text[PIDSTAT_BYTES];
    int file = open_input(path, O_RDONLY);
    ssize_t length = read(file, text, sizeof text);
    close(file);
    (void)directory;
    return length > 0 && pidstat_parse(text, (size_t)length, stat);
}

#define open open_input
#define procfile_stat stat_of_input
#include "../../native/layout/image.c"

static void check(const struct image *image) {
    PROMISE(image->vma_count > 0 && image->vma_count <= IMAGE_VMAS_MAX);
    PROMISE(image->program_align <= IMAGE_ALIGN_MAX);
    PROMISE((image->program_align & (image->program_align - 1)) == 0);
    PROMISE(image->parts[PART_STACK].end != 0);
    PROMISE(image->parts[PART_PROGRAM].end - image->parts[PART_PROGRAM].start <=
            IMAGE_PROGRAM_BYTES_MAX + 2 * 4096);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct image image;
    for (int i = 0; i < FILES; i++) {
        size_t length = size;
        if (i < EXE) {
            if (size < 2)
                return 0;
            length = (size_t)data[0] | (size_t)data[1] << 8;
            data += 2;
            size -= 2;
            length = length < size ? length : size;
        }
        files[i].bytes = data;
        files[i].size = length;
        data += length;
        size -= length;
    }
    /* Read as both kinds. */
    for (int is_i386 = 0; is_i386 < 2; is_i386++) {
        struct injection injection = {.pid = 1, .is_i386 = is_i386 == 1};
        STACK_POINTER(injection.registers) = 0x7ffd1000;
        if (image_read(&image, &injection) == NULL)
            check(&image);
    }
    return 0;
}
