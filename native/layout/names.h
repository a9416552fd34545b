/* Names of the functions and variables that a program's file imports or exports. */
#ifndef KSMRUN_NAMES_H
#define KSMRUN_NAMES_H

#include <stdbool.h>
#include <stddef.h>

struct names {
    enum {
        NAMES_NOT_ELF,
        NAMES_STATIC, /* no loader fills in addresses by name */
        NAMES_UNREADABLE,
        NAMES_READ,
    } state;
    char *strings; /* one after the other, each with its NUL; must be freed */
    size_t bytes;
};

struct names names_read(int file);

/* Returns whether any of them is in the NULL-terminated list. */
bool names_have(const struct names *names, const char *const *wanted);

#endif
