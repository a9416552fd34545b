#include "object.h"

#include <elf.h>
#include <stddef.h>

#include "text.h"

#if __SIZEOF_POINTER__ == 8
typedef Elf64_Sym elf_symbol;
typedef Elf64_Dyn elf_dynamic;
typedef Elf64_Rela elf_relocation;
enum { DT_RELOCATIONS = DT_RELA, DT_RELOCATIONS_BYTES = DT_RELASZ };
#define RELOCATION_TYPE ELF64_R_TYPE
#define RELOCATION_SYMBOL ELF64_R_SYM
#else
/* i386's linkers write the addends into the places. */
typedef Elf32_Sym elf_symbol;
typedef Elf32_Dyn elf_dynamic;
typedef Elf32_Rel elf_relocation;
enum { DT_RELOCATIONS = DT_REL, DT_RELOCATIONS_BYTES = DT_RELSZ };
#define RELOCATION_TYPE ELF32_R_TYPE
#define RELOCATION_SYMBOL ELF32_R_SYM
#endif

/* Tables for a lookup by name. Objects without a GNU hash table, which linkers have written for
 * more than fifteen years, count as without symbols. */
struct tables {
    const elf_symbol *symbols;
    const char *names;
    const uint32_t *hash;
};

/* glibc replaces the tables' offsets by their addresses; musl, and every libc in a read-only
 * section, does not. */
static const void *loaded(const struct object *object, uintptr_t pointer) {
    return (const void *)(pointer < object->base ? object->base + pointer : pointer);
}

static bool find_tables(const struct object *object, struct tables *tables) {
    *tables = (struct tables){NULL, NULL, NULL};
    const elf_dynamic *entry = object->dynamic;
    for (; entry != NULL && entry->d_tag != DT_NULL; entry++) {
        if (entry->d_tag == DT_SYMTAB)
            tables->symbols = loaded(object, entry->d_un.d_ptr);
        else if (entry->d_tag == DT_STRTAB)
            tables->names = loaded(object, entry->d_un.d_ptr);
        else if (entry->d_tag == DT_GNU_HASH)
            tables->hash = loaded(object, entry->d_un.d_ptr);
    }
    return tables->symbols != NULL && tables->names != NULL && tables->hash != NULL;
}

/* Dan Bernstein's, as in ld.so and linkers. */
static uint32_t hash_of(const char *name) {
    uint32_t hash = 5381;
    while (*name != '\0')
        hash = hash * 33 + (unsigned char)*name++;
    return hash;
}

static bool is_function(const elf_symbol *symbol) {
    /* The same for both widths. */
    return ELF64_ST_TYPE(symbol->st_info) == STT_FUNC && symbol->st_shndx != SHN_UNDEF;
}

/* The hash table (glibc's elf/dl-lookup.c): four numbers; the Bloom filter, of words as
 * wide as an address, which is not needed here; the first symbol of each bucket; and the symbols'
 * hashes, with the lowest bit set in the last of a bucket. */
bool object_function(const struct object *object, const char *name, struct range *range) {
    struct tables tables;
    if (!find_tables(object, &tables) || tables.hash[0] == 0)
        return false;
    uint32_t bucket_count = tables.hash[0], first_symbol = tables.hash[1];
    const uint32_t *buckets = tables.hash + 4 + tables.hash[2] * (sizeof(uintptr_t) / 4);
    const uint32_t *hashes = buckets + bucket_count;
    uint32_t hash = hash_of(name), index = buckets[hash % bucket_count];
    if (index < first_symbol)
        return false;
    for (;; index++) {
        uint32_t found = hashes[index - first_symbol];
        const elf_symbol *symbol = &tables.symbols[index];
        if ((found | 1) == (hash | 1) && is_function(symbol) &&
            text_equal(tables.names + symbol->st_name, name)) {
            range->start = object->base + symbol->st_value;
            range->end = range->start + symbol->st_size;
            return true;
        }
        if ((found & 1) != 0)
            return false;
    }
}

#if defined(__x86_64__)
enum { TYPE_CALLED = R_X86_64_JUMP_SLOT, TYPE_POINTER = R_X86_64_GLOB_DAT };
#elif defined(__i386__)
enum { TYPE_CALLED = R_386_JMP_SLOT, TYPE_POINTER = R_386_GLOB_DAT };
#else
enum { TYPE_CALLED = R_AARCH64_JUMP_SLOT, TYPE_POINTER = R_AARCH64_GLOB_DAT };
#endif

static uintptr_t entry_of(const struct object *object, intptr_t tag) {
    const elf_dynamic *entry = object->dynamic;
    for (; entry != NULL && entry->d_tag != DT_NULL; entry++)
        if (entry->d_tag == tag)
            return entry->d_un.d_val;
    return 0;
}

void object_each_import(const struct object *object, const char *name,
                        void (*visit)(void **place, void *argument), void *argument) {
    static const intptr_t lists[][2] = {{DT_JMPREL, DT_PLTRELSZ},
                                        {DT_RELOCATIONS, DT_RELOCATIONS_BYTES}};
    struct tables tables;
    if (!find_tables(object, &tables))
        return;
    for (size_t list = 0; list < sizeof lists / sizeof *lists; list++) {
        const elf_relocation *relocations = loaded(object, entry_of(object, lists[list][0]));
        size_t count = entry_of(object, lists[list][1]) / sizeof *relocations;
        for (size_t i = 0; i < count; i++) {
            unsigned type = (unsigned)RELOCATION_TYPE(relocations[i].r_info);
            const elf_symbol *symbol = &tables.symbols[RELOCATION_SYMBOL(relocations[i].r_info)];
            if ((type == TYPE_CALLED || type == TYPE_POINTER) &&
                text_equal(tables.names + symbol->st_name, name))
                visit((void **)(object->base + relocations[i].r_offset), argument);
        }
    }
}
