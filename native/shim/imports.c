#include "imports.h"

#include <elf.h>
#include <stddef.h>
#include <stdint.h>

#include "loaded.h"
#include "object.h"
#include "syscalls.h"

enum { PAGE_BYTES = 4096, PROTECT_READ = 1, PROTECT_READ_AND_WRITE = 3 };

extern void *dlsym(void *, const char *) __attribute__((weak));
extern unsigned long getauxval(unsigned long) __attribute__((weak));

/* The linker's. A function's own name would lead to the one in front. */
extern const char _end[] __attribute__((visibility("hidden")));

void *imports_function(const char *name) {
    void *found = dlsym == NULL ? NULL : dlsym(NULL, name); /* RTLD_DEFAULT */
    bool is_own = (uintptr_t)found >= (uintptr_t)__ehdr_start && (uintptr_t)found < (uintptr_t)_end;
    return is_own ? NULL : found;
}

struct replacing {
    const char *const *holders;
    const char *name;
    void *replacement;
    const struct loaded_object *loaded; /* the one that is looked at */
    bool has_failed;
};

static bool holds_one(const struct object *object, const char *const *names) {
    struct range range;
    for (; *names != NULL; names++)
        if (object_function(object, *names, &range))
            return true;
    return false;
}

/* ld.so made these pages read-only when it had filled them (PT_GNU_RELRO), but not one at the end
 * that is also used for something else (glibc's elf/dl-reloc.c: _dl_protect_relro; musl's
 * ldso/dynlink.c). */
static void replace(void **place, void *argument) {
    struct replacing *replacing = argument;
    const segment_header *relro = loaded_segment(replacing->loaded, PT_GNU_RELRO);
    uintptr_t page_bytes = getauxval != NULL ? getauxval(AT_PAGESZ) : PAGE_BYTES;
    uintptr_t page = (uintptr_t)place & ~(page_bytes - 1);
    uintptr_t start = relro == NULL ? 0 : replacing->loaded->base + relro->p_vaddr;
    uintptr_t end = relro == NULL ? 0 : (start + relro->p_memsz) & ~(page_bytes - 1);
    bool is_readonly = page >= (start & ~(page_bytes - 1)) && page < end;
    if (is_readonly &&
        SYSTEM_CALL(NUMBER_MPROTECT, (long)page, (long)page_bytes, PROTECT_READ_AND_WRITE) != 0) {
        replacing->has_failed = true;
        return;
    }
    __atomic_store_n(place, replacing->replacement, __ATOMIC_RELAXED);
    if (is_readonly)
        SYSTEM_CALL(NUMBER_MPROTECT, (long)page, (long)page_bytes, PROTECT_READ);
}

static void replace_all(struct replacing *replacing, const struct loaded_object *loaded) {
    struct object object = loaded_as_object(loaded);
    replacing->loaded = loaded;
    object_each_import(&object, replacing->name, replace, replacing);
}

bool imports_replace_in(const struct loaded_object *loaded, const char *name, void *replacement) {
    struct replacing replacing = {.name = name, .replacement = replacement};
    replace_all(&replacing, loaded);
    return !replacing.has_failed;
}

static int look(struct loaded_object *loaded, size_t size, void *argument) {
    struct replacing *replacing = argument;
    struct object object = loaded_as_object(loaded);
    (void)size;
    if (!loaded_is_shim(loaded) && holds_one(&object, replacing->holders))
        replace_all(replacing, loaded);
    return 0;
}

static int look_for(struct loaded_object *loaded, size_t size, void *name) {
    struct object object = loaded_as_object(loaded);
    struct range range;
    (void)size;
    return object_function(&object, name, &range);
}

bool imports_have(const char *name) {
    return dl_iterate_phdr != NULL && dl_iterate_phdr(look_for, (void *)name) != 0;
}

bool imports_replace(const char *const *holders, const char *name, void *replacement) {
    struct replacing replacing = {.holders = holders, .name = name, .replacement = replacement};
    if (dl_iterate_phdr != NULL)
        dl_iterate_phdr(look, &replacing);
    return !replacing.has_failed;
}
