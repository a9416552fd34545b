#include "notes.h"

#include <elf.h>

/* Each is a header, the name and the content, the last two filled up to a multiple of four. */
static size_t filled(size_t bytes) {
    return (bytes + 3) & ~(size_t)3;
}

static bool are_equal(const char *first, const char *second, size_t bytes) {
    while (bytes > 0 && *first == *second) {
        first++;
        second++;
        bytes--;
    }
    return bytes == 0;
}

bool notes_have(const char *notes, size_t bytes, const char *name, size_t name_bytes) {
    while (bytes >= sizeof(Elf32_Nhdr)) {
        const Elf32_Nhdr *note = (const Elf32_Nhdr *)(const void *)notes;
        size_t rest = bytes - sizeof *note;
        if (note->n_namesz > rest || note->n_descsz > rest - note->n_namesz)
            return false;
        if (note->n_namesz == name_bytes && are_equal(notes + sizeof *note, name, name_bytes))
            return true;
        size_t content = filled(note->n_namesz) + filled(note->n_descsz);
        if (content > rest)
            return false;
        notes += sizeof *note + content;
        bytes = rest - content;
    }
    return false;
}
