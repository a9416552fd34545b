#include "maps.h"

static uintptr_t with_digit(uintptr_t number, char digit) {
    unsigned value = (unsigned char)digit;
    return number * 16 + (value <= '9' ? value - '0' : value - 'a' + 10);
}

static void read_perms(struct maps_reader *reader, char byte) {
    /* rwxp: the second is w or -, the fourth p or s. */
    if (reader->perms_read == 1)
        reader->is_writable = byte == 'w';
    if (reader->perms_read == 3)
        reader->is_private = byte == 'p';
    reader->perms_read++;
}

static const char stack_name[] = "[stack]";
enum { STACK_NAME_LENGTH = sizeof stack_name - 1 };

static void read_rest(struct maps_reader *reader, char byte) {
    if (reader->stack_name_matched < STACK_NAME_LENGTH &&
        byte == stack_name[reader->stack_name_matched])
        reader->stack_name_matched++;
    else
        reader->stack_name_matched = byte == stack_name[0];
}

bool maps_read_byte(struct maps_reader *reader, char byte, struct vma *vma) {
    if (byte == '\n') {
        vma->start = reader->start;
        vma->end = reader->end;
        vma->is_private_writable = reader->is_private && reader->is_writable;
        vma->is_main_stack = reader->stack_name_matched == STACK_NAME_LENGTH;
        *reader = (struct maps_reader){0};
        return true;
    }
    switch (reader->field) {
    case FIELD_START:
        if (byte == '-')
            reader->field = FIELD_END;
        else
            reader->start = with_digit(reader->start, byte);
        break;
    case FIELD_END:
        if (byte == ' ')
            reader->field = FIELD_PERMS;
        else
            reader->end = with_digit(reader->end, byte);
        break;
    case FIELD_PERMS:
        if (byte == ' ')
            reader->field = FIELD_REST;
        else
            read_perms(reader, byte);
        break;
    case FIELD_REST:
        read_rest(reader, byte);
        break;
    }
    return false;
}
