/* Mappings of a process, from /proc/PID/maps (proc_pid_maps(5)). */
#ifndef KSMRUN_VMAS_H
#define KSMRUN_VMAS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum kind {
    KIND_HEAP,
    KIND_ANONYMOUS,
    KIND_STACK, /* of the main thread; those of others are anonymous */
    KIND_FILE,  /* private pages of files: data that was written to, relocations */
    KINDS,
    KIND_KERNELS = KINDS, /* [vvar], [vdso], [vsyscall] */
    KIND_SHARED,          /* KSM merges private memory only */
};

struct mapping {
    uint64_t start, end;
    enum kind kind;
    bool is_program;  /* maps the executable file */
    uint64_t offset;  /* in the file */
    uint64_t file;    /* hash of its path; 0: none */
    bool is_reserved; /* inaccessible */
};

struct vmas {
    struct mapping *items;
    size_t count, capacity;
};

/* Fills the list, reusing its buffer. process: descriptor of /proc/PID. Returns 0 or -errno. */
int vmas_read(int process, struct vmas *vmas);

#endif
