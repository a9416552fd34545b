/* Memory of a program as an exec left it, before its first instruction. */
#ifndef KSMRUN_IMAGE_H
#define KSMRUN_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../inject/inject.h"

enum { IMAGE_VMAS_MAX = 512 };
/* The parts of a larger program would not fit between each other (bases.c). */
static const uint64_t IMAGE_PROGRAM_BYTES_MAX = (uint64_t)1 << 40, IMAGE_ALIGN_MAX = 1 << 30;

/* In the order in which an address is looked up: the kernel's parts may be in holes between
 * segments of others. */
enum image_part {
    PART_KERNELS, /* [vvar], [vdso] and similar */
    PART_LOADER,
    PART_PROGRAM,
    PART_STACK,
    IMAGE_PARTS,
    PART_FIXED = IMAGE_PARTS, /* [vsyscall] and whatever else cannot move */
};

struct image_vma {
    uint64_t start, end;
    enum image_part part;
    bool is_code;     /* of a file, and never written to */
    bool is_reserved; /* PROT_NONE, and not of a file */
    uint64_t offset;  /* in the file */
};

struct image {
    struct image_vma vmas[IMAGE_VMAS_MAX];
    int vma_count;
    /* Without its brk heap, which is still empty. Both 0 if there is no such part. */
    struct {
        uint64_t start, end;
    } parts[IMAGE_PARTS];
    uint64_t program_align;
    bool is_movable;    /* ET_DYN: a PIE, or a program that brings its own loader */
    uint64_t vdso;      /* 0 if there is none */
    bool is_privileged; /* it gained privileges at the exec (getauxval(3): AT_SECURE) */
    /* /proc/PID/stat: values that PR_SET_MM_MAP requires again. */
    uint64_t start_code, end_code, start_data, end_data, start_brk;
    uint64_t arg_start, arg_end, env_start, env_end;
};

/* Reads the image. Returns NULL, or what could not be read. */
const char *image_read(struct image *image, const struct injection *injection);

#endif
