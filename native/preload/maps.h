/* /proc/PID/maps, a byte at a time: it comes in pieces that end anywhere (proc_pid_maps(5)). */
#ifndef KSMRUN_MAPS_H
#define KSMRUN_MAPS_H

#include <stdbool.h>
#include <stdint.h>

struct vma {
    uintptr_t start, end;
    bool is_private_writable;
    bool is_main_stack;
};

struct maps_reader {
    enum { FIELD_START, FIELD_END, FIELD_PERMS, FIELD_REST } field;
    int perms_read;
    int stack_name_matched;
    bool is_writable, is_private;
    uintptr_t start, end;
};

/* Whether this byte ends a line, which vma then tells of. A new reader is all zero. */
bool maps_read_byte(struct maps_reader *reader, char byte, struct vma *vma);

#endif
