#include "maps.h"

static const char heap_name[] = "[heap]", stack_name[] = "[stack]", kernels_name[] = "[v";
enum {
    HEAP_NAME_LENGTH = sizeof heap_name - 1,
    STACK_NAME_LENGTH = sizeof stack_name - 1,
    KERNELS_NAME_LENGTH = sizeof kernels_name - 1,
};

static uintptr_t with_digit(uintptr_t number, char digit) {
    unsigned value = (unsigned char)digit;
    return number * 16 + (value <= '9' ? value - '0' : value - 'a' + 10);
}

/* How much of the name has been read at the end of the line so far. */
static int matched(const char *name, int length, int so_far, char byte) {
    if (so_far < length && byte == name[so_far])
        return so_far + 1;
    return byte == name[0];
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
    case FIELD_INODE:
        reader->vma.has_file |= byte != '0';
        break;
    case FIELD_NAME:
        reader->heap_name_matched =
            matched(heap_name, HEAP_NAME_LENGTH, reader->heap_name_matched, byte);
        reader->stack_name_matched =
            matched(stack_name, STACK_NAME_LENGTH, reader->stack_name_matched, byte);
        if (reader->kernels_name_matched < KERNELS_NAME_LENGTH)
            reader->kernels_name_matched =
                matched(kernels_name, KERNELS_NAME_LENGTH, reader->kernels_name_matched, byte);
        break;
    default:
        break;
    }
}

bool maps_read_byte(struct maps_reader *reader, char byte, struct vma *vma) {
    if (byte == '\n') {
        *vma = reader->vma;
        vma->is_heap = reader->heap_name_matched == HEAP_NAME_LENGTH;
        vma->is_main_stack = reader->stack_name_matched == STACK_NAME_LENGTH;
        vma->is_kernels = !vma->has_file && reader->kernels_name_matched == KERNELS_NAME_LENGTH;
        *reader = (struct maps_reader){0};
        return true;
    }
    /* Only the first two are parted by a dash; a name has blanks in front of it, and may have some
     * within. */
    bool is_separator = byte == (reader->field == FIELD_START ? '-' : ' ');
    if (is_separator && reader->field != FIELD_NAME)
        reader->field++;
    else
        read_field(reader, byte);
    return false;
}
