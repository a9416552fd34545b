/* The hash table of an ELF object with valid links, because ld.so has followed them before: each
 * name is found exactly where a function has it. */
#include "fuzz.h"

#include <elf.h>

#include "object.h"

enum { SYMBOLS_MAX = 64, NAME_BYTES = 4, LETTERS = 2 };

static uint32_t hash_of(const char *name) {
    uint32_t hash = 5381;
    for (; *name != '\0'; name++)
        hash = hash * 33 + (unsigned char)*name;
    return hash;
}

/* Input: buckets, then for each symbol its kind and its name. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static char names[1 + SYMBOLS_MAX * NAME_BYTES];
    static Elf64_Sym symbols[1 + SYMBOLS_MAX];
    uint32_t table[4 + 2 + 256 + SYMBOLS_MAX] = {0};
    if (size < 2)
        return 0;
    uint32_t buckets = data[0], count = 0;
    table[0] = buckets;
    table[1] = 1;
    table[2] = 1;
    uint32_t *first = table + 6, *hashes = first + buckets;
    /* Symbols are in the order of their buckets. */
    for (uint32_t bucket = 0; bucket < buckets; bucket++) {
        uint32_t begin = count;
        for (size_t at = 1; at + 2 <= size && count < SYMBOLS_MAX; at += 2) {
            char name[NAME_BYTES] = {(char)('a' + data[at + 1] % LETTERS),
                                     (char)('a' + data[at + 1] / 2 % LETTERS)};
            if (hash_of(name) % buckets != bucket)
                continue;
            symbols[1 + count] = (Elf64_Sym){.st_name = 1 + count * NAME_BYTES,
                                             .st_info = data[at],
                                             .st_shndx = data[at + 1] >> 7,
                                             .st_value = count};
            memcpy(names + 1 + count * NAME_BYTES, name, sizeof name);
            hashes[count++] = hash_of(name) & ~1U;
        }
        if (count > begin) {
            first[bucket] = 1 + begin;
            hashes[count - 1] |= 1;
        }
    }
    const Elf64_Dyn dynamic[] = {{DT_SYMTAB, {(Elf64_Addr)symbols}},
                                 {DT_STRTAB, {(Elf64_Addr)names}},
                                 {DT_GNU_HASH, {(Elf64_Addr)table}},
                                 {DT_NULL, {0}}};
    const struct object object = {0, dynamic};
    static const char *const wanted[] = {"aa", "ab", "ba", "bb", "", "a"};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        bool is_there = false;
        for (uint32_t symbol = 1; symbol <= count; symbol++)
            is_there |= strcmp(names + symbols[symbol].st_name, wanted[i]) == 0 &&
                        ELF64_ST_TYPE(symbols[symbol].st_info) == STT_FUNC &&
                        symbols[symbol].st_shndx != SHN_UNDEF;
        struct range range;
        PROMISE(object_function(&object, wanted[i], &range) == is_there);
    }
    return 0;
}
