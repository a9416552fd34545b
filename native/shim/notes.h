/* Notes of an ELF file (elf(5)). Pure. */
#ifndef KSMRUN_NOTES_H
#define KSMRUN_NOTES_H

#include <stdbool.h>
#include <stddef.h>

/* Returns whether one of the notes in these bytes, which begin at a multiple of four, has the name.
 * name_bytes: with the NUL at its end. */
bool notes_have(const char *notes, size_t bytes, const char *name, size_t name_bytes);

#endif
