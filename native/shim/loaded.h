/* Information of dl_iterate_phdr(3) on each object. Declared as in link.h, whose other structures
 * conflict with the shim's. */
#ifndef KSMRUN_LOADED_H
#define KSMRUN_LOADED_H

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "object.h"

#if __SIZEOF_POINTER__ == 8
typedef Elf64_Phdr segment_header;
#else
typedef Elf32_Phdr segment_header;
#endif

struct loaded_object {
    uintptr_t base;
    const char *name;
    const segment_header *headers;
    Elf64_Half header_count;
};

extern int dl_iterate_phdr(int (*)(struct loaded_object *, size_t, void *), void *)
    __attribute__((weak));
/* Defined by the linker. */
extern const char __ehdr_start[] __attribute__((visibility("hidden")));

static inline bool loaded_is_shim(const struct loaded_object *loaded) {
    return loaded->base == (uintptr_t)__ehdr_start;
}

static inline const segment_header *loaded_segment(const struct loaded_object *loaded,
                                                   unsigned type) {
    for (int i = 0; i < loaded->header_count; i++)
        if (loaded->headers[i].p_type == type)
            return &loaded->headers[i];
    return NULL;
}

static inline bool loaded_contains(const struct loaded_object *loaded, uintptr_t address) {
    for (int i = 0; i < loaded->header_count; i++) {
        const segment_header *header = &loaded->headers[i];
        if (header->p_type == PT_LOAD && address - loaded->base - header->p_vaddr < header->p_memsz)
            return true;
    }
    return false;
}

static inline struct object loaded_as_object(const struct loaded_object *loaded) {
    const segment_header *dynamic = loaded_segment(loaded, PT_DYNAMIC);
    return (struct object){
        loaded->base, dynamic == NULL ? NULL : (const void *)(loaded->base + dynamic->p_vaddr)};
}

/* The last segment with this flag (PF_X: its code; PF_W: its data). */
static inline struct range loaded_range(const struct loaded_object *loaded, unsigned flag) {
    struct range range = {0, 0};
    for (int i = 0; i < loaded->header_count; i++) {
        const segment_header *header = &loaded->headers[i];
        if (header->p_type == PT_LOAD && (header->p_flags & flag) != 0)
            range = (struct range){loaded->base + header->p_vaddr,
                                   loaded->base + header->p_vaddr + header->p_memsz};
    }
    return range;
}

#endif
