/* Kernel constants that several files of the shim need; the installed headers may be of another
 * architecture (see syscalls.h). Source: include/uapi/linux/{prctl,sched,seccomp,futex}.h,
 * include/uapi/asm-generic/mman-common.h. */
#ifndef KSMRUN_LINUX_H
#define KSMRUN_LINUX_H

enum {
    PR_SET_NAME = 15,
    PR_SET_SECCOMP = 22,
    PR_SET_NO_NEW_PRIVS = 38,
    PR_SET_MEMORY_MERGE = 67,
    PR_GET_MEMORY_MERGE = 68,
};

enum {
    CLONE_VM = 0x100,
    CLONE_FS = 0x200,
    CLONE_FILES = 0x400,
    CLONE_SIGHAND = 0x800,
    CLONE_THREAD = 0x10000,
    CLONE_SYSVSEM = 0x40000,
    CLONE_PARENT_SETTID = 0x100000,
    CLONE_CHILD_CLEARTID = 0x200000,
    CLONE_NEWPID = 0x20000000,
    /* A thread of this process (clone(2)); its TID is stored at the start, and cleared at its
     * end. */
    CLONE_THREAD_FLAGS = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
                         CLONE_SYSVSEM | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID,
};

enum {
    SECCOMP_MODE_STRICT = 1, /* of prctl(2) */
    SECCOMP_MODE_FILTER = 2,
    SECCOMP_SET_MODE_STRICT = 0, /* of seccomp(2) */
    SECCOMP_SET_MODE_FILTER = 1,
    SECCOMP_FILTER_FLAG_NEW_LISTENER = 8,
};

enum { SCHED_OTHER = 0 };

enum {
    MADV_NORMAL = 0,
    MADV_RANDOM = 1,
    MADV_SEQUENTIAL = 2,
    MADV_MERGEABLE = 12,
    MADV_UNMERGEABLE = 13,
    MADV_DONTDUMP = 16,
    MADV_WIPEONFORK = 18,
};

enum { FUTEX_WAIT = 0, FUTEX_WAIT_PRIVATE = 128, FUTEX_WAKE_PRIVATE = 129 };

#endif
