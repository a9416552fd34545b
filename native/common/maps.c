#include "maps.h"

#include <stddef.h>

/* Returns 16 for what is no digit. */
static unsigned digit_of(char byte) {
    if (byte >= '0' && byte <= '9')
        return (unsigned)(byte - '0');
    return byte >= 'a' && byte <= 'f' ? (unsigned)(byte - 'a') + 10 : 16;
}

/* Returns false for what is no digit, and for more of them than the kernel writes. */
static bool add_digit(unsigned long long *number, char byte, unsigned long long maximum) {
    unsigned digit = digit_of(byte);
    if (digit >= 16 || *number > maximum / 16)
        return false;
    *number = *number * 16 + digit;
    return true;
}

static bool add_to_address(uintptr_t *address, char byte) {
    unsigned long long number = *address;
    bool is_digit = add_digit(&number, byte, (uintptr_t)-1);
    *address = (uintptr_t)number;
    return is_digit;
}

static bool add_permission(struct maps_reader *reader, char byte) {
    static const char given[] = "rwxp", missing[] = "---s";
    int at = reader->field_bytes;
    if (at >= (int)sizeof reader->vma.perms || (byte != given[at] && byte != missing[at]))
        return false;
    reader->vma.perms[at] = byte;
    return true;
}

/* A mapping has a file if its device or its inode is not 0. */
static bool add_to_file(struct maps_reader *reader, char byte, unsigned base) {
    reader->vma.has_file |= byte != '0';
    return digit_of(byte) < base;
}

/* Leading blanks are not part of it. */
static bool add_to_name(struct maps_reader *reader, char byte) {
    if (reader->name_bytes == 0 && byte == ' ')
        return true;
    if (reader->name_bytes < MAPS_NAME_BYTES)
        reader->name[reader->name_bytes] = byte;
    reader->name_bytes += reader->name_bytes <= MAPS_NAME_BYTES;
    return true;
}

static bool add(struct maps_reader *reader, char byte) {
    switch (reader->field) {
    case FIELD_START:
        return add_to_address(&reader->vma.start, byte);
    case FIELD_END:
        return add_to_address(&reader->vma.end, byte);
    case FIELD_PERMS:
        return add_permission(reader, byte);
    case FIELD_OFFSET:
        return add_digit(&reader->vma.offset, byte, (unsigned long long)-1);
    case FIELD_MAJOR:
    case FIELD_MINOR:
        return add_to_file(reader, byte, 16);
    case FIELD_INODE:
        return add_to_file(reader, byte, 10);
    default:
        return add_to_name(reader, byte);
    }
}

static bool is_complete(const struct maps_reader *reader) {
    return reader->field == FIELD_PERMS ? reader->field_bytes == (int)sizeof reader->vma.perms
                                        : reader->field_bytes > 0;
}

static bool begins(const struct maps_reader *reader, const char *name, int bytes) {
    if (reader->vma.has_file || reader->name_bytes < bytes)
        return false;
    for (int i = 0; i < bytes; i++)
        if (reader->name[i] != name[i])
            return false;
    return true;
}

static bool is_named(const struct maps_reader *reader, const char *name, int bytes) {
    return reader->name_bytes == bytes && begins(reader, name, bytes);
}

#define IS_NAMED(reader, name) is_named(reader, name, (int)sizeof(name) - 1)

static enum maps_result end_line(struct maps_reader *reader, struct vma *vma) {
    bool has_all =
        reader->field == FIELD_NAME || (reader->field == FIELD_INODE && is_complete(reader));
    bool is_vma = !reader->is_wrong && has_all && reader->vma.start < reader->vma.end;
    if (is_vma) {
        *vma = reader->vma;
        vma->is_heap = IS_NAMED(reader, "[heap]");
        vma->is_main_stack = IS_NAMED(reader, "[stack]");
        vma->is_vdso = IS_NAMED(reader, "[vdso]");
        vma->is_vsyscall = IS_NAMED(reader, "[vsyscall]");
        vma->is_kernels = begins(reader, "[v", 2);
    }
    *reader = (struct maps_reader){0};
    return is_vma ? MAPS_VMA : MAPS_OTHER;
}

enum maps_result maps_read_byte(struct maps_reader *reader, char byte, struct vma *vma) {
    static const char separators[] = {
        [FIELD_START] = '-', [FIELD_END] = ' ',   [FIELD_PERMS] = ' ', [FIELD_OFFSET] = ' ',
        [FIELD_MAJOR] = ':', [FIELD_MINOR] = ' ', [FIELD_INODE] = ' '};
    if (byte == '\n')
        return end_line(reader, vma);
    if (reader->field < FIELD_NAME && byte == separators[reader->field]) {
        reader->is_wrong |= !is_complete(reader);
        reader->field++;
        reader->field_bytes = 0;
    } else {
        reader->is_wrong |= !add(reader, byte);
        /* Longer than any field that has a length. */
        reader->field_bytes += reader->field_bytes < MAPS_NAME_BYTES + 1;
    }
    return MAPS_INSIDE;
}

const char *maps_read_line(const char *line, struct vma *vma) {
    struct maps_reader reader = {0};
    const char *name = NULL;
    for (; *line != '\0' && *line != '\n'; line++) {
        maps_read_byte(&reader, *line, vma);
        if (name == NULL && reader.name_bytes > 0)
            name = line;
    }
    if (end_line(&reader, vma) != MAPS_VMA)
        return NULL;
    return name == NULL ? line : name;
}
