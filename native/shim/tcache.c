/* Gives glibc's malloc the group's key for freed blocks.
 *
 * Since 2.34 each process draws a random word, tcache_key, and free() writes it into every small
 * block, so that pages of a heap differ from copy to copy (malloc/malloc.c: tcache_key_initialize).
 * No secret: free() compares the word that it finds in a block with it, to detect that the block is
 * freed twice, and then searches the list. "The value of tcache_key does not really have to be a
 * cryptographically secure random number." Pointers in free lists are protected by their own
 * address (PROTECT_PTR), and by nothing random.
 *
 * The key has no symbol. A block that is freed shows it, and one word of libc's data is equal to
 * it, or nothing is changed: older versions write an address there, which is in no such data; with
 * glibc.malloc.tcache_count=0 nothing is written. */
#include "tcache.h"

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "imports.h"
#include "loaded.h"
#include "syscalls.h"

/* struct tcache_entry: the next block, and the key. */
enum { ENTRY_NEXT, ENTRY_KEY, ENTRY_WORDS = 3 };

/* libc's own, also where another library replaces malloc. */
extern void *__libc_malloc(size_t) __attribute__((weak));
extern void __libc_free(void *) __attribute__((weak));

struct search {
    uintptr_t inside, key;
    uintptr_t *found;
    int count;
};

static void search_segment(struct search *search, uintptr_t start, uintptr_t end) {
    const uintptr_t word_bytes = sizeof(uintptr_t);
    start = (start + word_bytes - 1) & ~(word_bytes - 1);
    for (uintptr_t *word = (uintptr_t *)start; (uintptr_t)(word + 1) <= end; word++) {
        if (*(volatile uintptr_t *)word != search->key)
            continue;
        search->found = word;
        search->count++;
    }
}

static int look(struct loaded_object *loaded, size_t size, void *argument) {
    struct search *search = argument;
    const segment_header *relro = loaded_segment(loaded, PT_GNU_RELRO);
    (void)size;
    if (!loaded_contains(loaded, search->inside))
        return 0;
    for (int i = 0; i < loaded->header_count; i++) {
        const segment_header *header = &loaded->headers[i];
        if (header->p_type != PT_LOAD || (header->p_flags & PF_W) == 0)
            continue;
        uintptr_t start = header->p_vaddr, end = start + header->p_memsz;
        /* What is read-only by now stands at the start. */
        if (relro != NULL && relro->p_vaddr - start < header->p_memsz)
            start = relro->p_vaddr + relro->p_memsz;
        search_segment(search, loaded->base + start, loaded->base + end);
    }
    return 1;
}

/* Returns the key that free() writes, or 0. The stores must not be optimised away. */
static uintptr_t shown_key(void) {
    volatile uintptr_t *block = __libc_malloc(ENTRY_WORDS * sizeof(uintptr_t));
    if (block == NULL)
        return 0;
    block[ENTRY_KEY] = 0;
    __libc_free((void *)block);
    return block[ENTRY_KEY];
}

/* With tagged memory (glibc.mem.tagging), nobody may read a block that was freed. */
static bool has_tagged_memory(void) {
#if defined(__aarch64__)
    enum { PR_GET_TAGGED_ADDR_CTRL = 56, PR_MTE_TCF_MASK = 3 << 1 };
    long control = SYSTEM_CALL(NUMBER_PRCTL, PR_GET_TAGGED_ADDR_CTRL);
    return !is_error(control) && (control & PR_MTE_TCF_MASK) != 0;
#else
    return false;
#endif
}

void tcache_begin(const unsigned char seed[SEED_BYTES]) {
    if (__libc_malloc == NULL || __libc_free == NULL || dl_iterate_phdr == NULL)
        return;
    /* Some allocators make freed memory inaccessible, and with others libc's heap is not used. */
    if (imports_function("malloc") != (void *)__libc_malloc || has_tagged_memory())
        return;
    struct search search = {.inside = (uintptr_t)__libc_malloc, .key = shown_key()};
    if (search.key == 0)
        return;
    dl_iterate_phdr(look, &search);
    if (search.count != 1)
        return;
    uintptr_t key = 0;
    for (size_t i = 0; i < sizeof key; i++)
        key = key << 8 | seed[i];
    *search.found = key;
    shown_key(); /* The same block again, now with the new one in it. */
}
