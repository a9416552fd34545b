#include "block.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

/* From 32 bits, in place: from the last on, so that none is overwritten before it is read. */
static void widen(uint64_t *words, size_t count) {
    uint32_t narrow;
    for (size_t i = count; i-- > 0;) {
        memcpy(&narrow, (const char *)words + i * sizeof narrow, sizeof narrow);
        words[i] = narrow;
    }
}

bool block_read(struct block *block, const struct injection *injection, uint64_t stack_end) {
    uint64_t start = STACK_POINTER(injection->registers);
    block->word_bytes = injection->is_i386 ? sizeof(uint32_t) : sizeof(uint64_t);
    size_t words = (stack_end - start) / block->word_bytes;
    block->words = calloc(words, sizeof *block->words);
    if (block->words == NULL ||
        !injection_read(injection, start, block->words, words * block->word_bytes))
        return false;
    if (injection->is_i386)
        widen(block->words, words);
    size_t at = 0;
    for (int ends = 0; at < words && ends < 2; at++)
        ends += at > 0 && block->words[at] == 0;
    block->auxv = at;
    while (at + 1 < words && block->words[at] != AT_NULL)
        at += 2;
    block->count = at + 2;
    block->auxv_count = at + 2 - block->auxv;
    return block->count <= words;
}

uint64_t block_bytes(const struct block *block) {
    return block->count * block->word_bytes;
}

bool block_write(const struct block *block, const struct injection *injection, uint64_t before,
                 uint64_t address) {
    unsigned char *bytes = calloc(block->count, sizeof *block->words);
    bool is_written =
        bytes != NULL && injection_write(injection, before, bytes, block_bytes(block));
    /* Both machines have their lowest byte first. */
    for (size_t i = 0; is_written && i < block->count; i++)
        memcpy(bytes + i * block->word_bytes, &block->words[i], block->word_bytes);
    is_written = is_written && injection_write(injection, address, bytes, block_bytes(block));
    free(bytes);
    return is_written;
}
