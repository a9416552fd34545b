#include "identity.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "elf_file.h"

enum { NOTES_BYTES_MAX = 4096, PHDRS_MAX = 128 };

static size_t aligned(size_t bytes) {
    return (bytes + 3) & ~(size_t)3;
}

/* elf(5): notes consist of a name, a descriptor and a type; the build ID is GNU's type 3. */
static bool find_build_id(struct identity *identity, const unsigned char *notes, size_t bytes) {
    Elf64_Nhdr note;
    for (size_t at = 0; at + sizeof note <= bytes;) {
        memcpy(&note, notes + at, sizeof note);
        size_t name = at + sizeof note, text = name + aligned(note.n_namesz);
        if (note.n_namesz > bytes || note.n_descsz > bytes || text + note.n_descsz > bytes)
            return false;
        if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == sizeof ELF_NOTE_GNU &&
            memcmp(notes + name, ELF_NOTE_GNU, sizeof ELF_NOTE_GNU) == 0 && note.n_descsz >= 8 &&
            note.n_descsz <= sizeof identity->bytes) {
            memcpy(identity->bytes, notes + text, note.n_descsz);
            identity->length = note.n_descsz;
            return true;
        }
        at = text + aligned(note.n_descsz);
    }
    return false;
}

static bool read_build_id(struct identity *identity, int file) {
    Elf64_Ehdr header;
    Elf64_Phdr parts[PHDRS_MAX];
    unsigned char notes[NOTES_BYTES_MAX];
    if (!elf_read_header(file, &header) || !elf_read_phdrs(file, &header, parts, PHDRS_MAX))
        return false;
    for (int i = 0; i < header.e_phnum; i++) {
        if (parts[i].p_type != PT_NOTE || parts[i].p_filesz > sizeof notes)
            continue;
        ssize_t bytes = pread(file, notes, parts[i].p_filesz, (off_t)parts[i].p_offset);
        if (bytes > 0 && find_build_id(identity, notes, (size_t)bytes))
            return true;
    }
    return false;
}

int identity_read(struct identity *identity, const char *path) {
    struct stat status;
    *identity = (struct identity){.length = 0};
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return -errno;
    int error = 0;
    if (!read_build_id(identity, file)) {
        if (fstat(file, &status) != 0) {
            error = -errno;
        } else {
            const int64_t parts[] = {(int64_t)status.st_dev, (int64_t)status.st_ino, status.st_size,
                                     status.st_mtim.tv_sec, (int64_t)status.st_mtim.tv_nsec};
            memcpy(identity->bytes, parts, sizeof parts);
            identity->length = sizeof parts;
        }
    }
    close(file);
    return error;
}
