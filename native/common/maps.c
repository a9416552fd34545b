#include "maps.h"

static const char heap_name[] = "[heap]", stack_name[] = "[stack]", kernels_name[] = "[v";

static uintptr_t with_digit(uintptr_t number, char digit) {
    unsigned value = (unsigned char)digit;
    return number * 16 + (value <= '9' ? value - '0' : value - 'a' + 10);
}

/* A file may have any name: only mappings without a file are named by the kernel, or begin with
 * "[anon" (prctl(2): PR_SET_VMA_ANON_NAME). */
static bool begins(const struct maps_reader *reader, const char *name, int length) {
    if (reader->vma.has_file || reader->name_length < length)
        return false;
    for (int i = 0; i < length; i++)
        if (reader->name[i] != name[i])
            return false;
    return true;
}

static bool is_named(const struct maps_reader *reader, const char *name, int length) {
    return reader->name_length == length && begins(reader, name, length);
}

/* Leading blanks are not part of it. */
static void read_name(struct maps_reader *reader, char byte) {
    if (reader->name_length == 0 && byte == ' ')
        return;
    if (reader->name_length < MAPS_NAME_BYTES)
        reader->name[reader->name_length] = byte;
    /* A longer name is none that is looked for. */
    reader->name_length += reader->name_length <= MAPS_NAME_BYTES;
}

static void read_field(struct maps_reader *reader, char byte) {
    switch (reader->field) {
    case FIELD_START:
        reader->vma.start = with_digit(reader->vma.start, byte);
        break;
    case FIELD_END:
        reader->vma.end = with_digit(reader->vma.end, byte);
        break;
    case FIELD_PERMS:
        if (reader->perms_read < 4)
            reader->vma.perms[reader->perms_read++] = byte;
        break;
    case FIELD_OFFSET:
        reader->vma.offset = with_digit(reader->vma.offset, byte);
        break;
    case FIELD_INODE:
        reader->vma.has_file |= byte != '0';
        break;
    case FIELD_NAME:
        read_name(reader, byte);
        break;
    default:
        break;
    }
}

bool maps_read_byte(struct maps_reader *reader, char byte, struct vma *vma) {
    if (byte == '\n') {
        *vma = reader->vma;
        vma->is_heap = is_named(reader, heap_name, sizeof heap_name - 1);
        vma->is_main_stack = is_named(reader, stack_name, sizeof stack_name - 1);
        vma->is_kernels = begins(reader, kernels_name, sizeof kernels_name - 1);
        *reader = (struct maps_reader){0};
        return true;
    }
    /* Only the first two are separated by a dash; a name has blanks before it, and may contain
     * some. */
    bool is_separator = byte == (reader->field == FIELD_START ? '-' : ' ');
    if (is_separator && reader->field != FIELD_NAME)
        reader->field++;
    else
        read_field(reader, byte);
    return false;
}
