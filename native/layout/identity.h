/* What makes two processes runs of one program: its build ID, else the file it is. */
#ifndef KSMRUN_IDENTITY_H
#define KSMRUN_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>

struct identity {
    unsigned char bytes[64];
    size_t length;
};

/* Of the ELF file behind a path. Returns 0 or -errno. */
int identity_read(struct identity *identity, const char *path);

#endif
