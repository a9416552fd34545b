/* Parses /proc/PID/maps byte by byte: it arrives in pieces that end anywhere (proc_pid_maps(5)). */
#ifndef KSMRUN_MAPS_H
#define KSMRUN_MAPS_H

#include <stdbool.h>
#include <stdint.h>

struct vma {
    uintptr_t start, end;
    char perms[4];    /* rwxp */
    uintptr_t offset; /* in the file */
    bool has_file;
    bool is_heap, is_main_stack;
    bool is_kernels; /* [vvar], [vdso], [vsyscall] */
};

enum { MAPS_NAME_BYTES = 8 };

struct maps_reader {
    enum {
        FIELD_START,
        FIELD_END,
        FIELD_PERMS,
        FIELD_OFFSET,
        FIELD_DEVICE,
        FIELD_INODE,
        FIELD_NAME,
    } field;
    int perms_read;
    char name[MAPS_NAME_BYTES]; /* its first bytes */
    int name_length;
    struct vma vma;
};

/* Returns whether this byte ends a line, which vma then describes. Zero-initialise a new reader. */
bool maps_read_byte(struct maps_reader *reader, char byte, struct vma *vma);

#endif
