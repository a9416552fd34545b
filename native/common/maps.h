/* The one reader of lines of /proc/PID/maps, and of those that begin a VMA in smaps
 * (proc_pid_maps(5)). Freestanding, since the shim is built from it too.
 *
 * A program names its files and its anonymous memory, so a name counts only if the mapping has no
 * file, and only as a whole: "[stack]", but neither "/tmp/x [stack]" nor "[anon:[stack]]". A line
 * that is not written as the kernel writes it describes no VMA. */
#ifndef KSMRUN_MAPS_H
#define KSMRUN_MAPS_H

#include <stdbool.h>
#include <stdint.h>

struct vma {
    uintptr_t start, end;
    char perms[4];             /* rwxp */
    unsigned long long offset; /* in the file; not uint64_t, see pidstat.h */
    bool has_file;
    bool is_heap, is_main_stack;
    bool is_vdso, is_vsyscall;
    bool is_kernels; /* these two, [vvar] and whatever else a kernel may add as "[v" */
};

enum { MAPS_NAME_BYTES = 16 };

struct maps_reader {
    enum {
        FIELD_START,
        FIELD_END,
        FIELD_PERMS,
        FIELD_OFFSET,
        FIELD_MAJOR,
        FIELD_MINOR,
        FIELD_INODE,
        FIELD_NAME,
    } field;
    int field_bytes; /* read of this field */
    bool is_wrong;
    char name[MAPS_NAME_BYTES]; /* its first bytes */
    int name_bytes;             /* MAPS_NAME_BYTES + 1: longer */
    struct vma vma;
};

enum maps_result {
    MAPS_INSIDE, /* of a line */
    MAPS_VMA,    /* the line has ended, and vma describes it */
    MAPS_OTHER,  /* the line has ended, and describes no VMA */
};

/* Reads one byte, because the file arrives in pieces that end anywhere. Zero-initialise a new
 * reader. */
enum maps_result maps_read_byte(struct maps_reader *reader, char byte, struct vma *vma);

/* Reads a line that ends at its NUL or newline; of a name its first bytes suffice. Returns where
 * its name begins, which is the end of the line if it has none, or NULL if it describes no VMA. */
const char *maps_read_line(const char *line, struct vma *vma);

#endif
