/* Identity of a program, equal for all its runs: its build ID, else the file itself. */
#ifndef KSMRUN_IDENTITY_H
#define KSMRUN_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>

struct identity {
    unsigned char bytes[64];
    size_t length;
};

/* Reads the identity of the ELF file at path. Returns 0 or -errno. */
int identity_read(struct identity *identity, const char *path);

#endif
