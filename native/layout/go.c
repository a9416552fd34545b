#include "go.h"

#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../common/sha256.h"
#include "elf_file.h"

enum {
    PHDRS_MAX = 64, /* Go's linker makes about ten */
    NOTES_BYTES = 512,
    AUXV_MAX = 64,
    RANDOM_BYTES = 16, /* fs/binfmt_elf.c: k_rand_bytes */
    NOTE_BUILD_ID = 4, /* cmd/link/internal/ld/elf.go: ELF_NOTE_GOBUILDID_TAG */
};

/* Notes are a header, a name and a description, both padded to 4 bytes (elf(5)). */
static bool has_build_id(const char *notes, size_t bytes) {
    Elf64_Nhdr note;
    for (size_t at = 0; at + sizeof note + 4 <= bytes;) {
        memcpy(&note, notes + at, sizeof note);
        const char *name = notes + at + sizeof note;
        if (note.n_type == NOTE_BUILD_ID && note.n_namesz == 4 && memcmp(name, "Go", 3) == 0)
            return true;
        if (note.n_namesz > bytes || note.n_descsz > bytes)
            return false;
        at += sizeof note + ((note.n_namesz + 3) & ~3U) + ((note.n_descsz + 3) & ~3U);
    }
    return false;
}

static bool is_static(int file) {
    Elf64_Ehdr header;
    Elf64_Phdr phdrs[PHDRS_MAX];
    char notes[NOTES_BYTES];
    bool is_go = false;
    if (!elf_read_header(file, &header) || header.e_ident[EI_CLASS] != ELFCLASS64 ||
        !elf_read_phdrs(file, &header, phdrs, PHDRS_MAX))
        return false;
    for (int i = 0; i < header.e_phnum; i++) {
        /* The second is there where a C library was linked in (for errno at least), whose stack
         * canary is a part of the value. */
        if (phdrs[i].p_type == PT_INTERP || phdrs[i].p_type == PT_TLS)
            return false;
        if (phdrs[i].p_type != PT_NOTE)
            continue;
        size_t bytes = phdrs[i].p_filesz < sizeof notes ? phdrs[i].p_filesz : sizeof notes;
        ssize_t length = pread(file, notes, bytes, (off_t)phdrs[i].p_offset);
        is_go = is_go || (length > 0 && has_build_id(notes, (size_t)length));
    }
    return is_go;
}

bool go_is_static(const char *path) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    bool is_go = file >= 0 && is_static(file);
    if (file >= 0)
        close(file);
    return is_go;
}

const char *go_share_random(struct injection *injection, const unsigned char key[KEY_BYTES]) {
    char path[32];
    Elf64_auxv_t auxv[AUXV_MAX];
    unsigned char digest[SHA256_BYTES];
    uint64_t address = 0;
    snprintf(path, sizeof path, "/proc/%d/auxv", injection->pid);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = file < 0 ? -1 : read(file, auxv, sizeof auxv);
    if (file >= 0)
        close(file);
    for (ssize_t i = 0; i < length / (ssize_t)sizeof *auxv; i++)
        if (auxv[i].a_type == AT_RANDOM)
            address = auxv[i].a_un.a_val;
    hmac_sha256(key, KEY_BYTES, "AT_RANDOM of Go", 15, digest);
    bool is_written = address != 0 && injection_write(injection, address, digest, RANDOM_BYTES);
    explicit_bzero(digest, sizeof digest);
    return is_written ? NULL : "writing Go's random value (AT_RANDOM)";
}
