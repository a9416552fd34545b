#include "next.h"

#include <stddef.h>
#include <stdint.h>

#include "loaded.h"
#include "object.h"

extern void *dlsym(void *, const char *) __attribute__((weak));

struct search {
    const char *name;
    bool is_behind;
    struct range found;
};

static int look(struct loaded_object *loaded, size_t size, void *argument) {
    struct search *search = argument;
    (void)size;
    if (loaded_is_shim(loaded)) {
        search->is_behind = true;
        return 0;
    }
    struct object object = loaded_as_object(loaded);
    return search->is_behind && object_function(&object, search->name, &search->found);
}

/* glibc before 2.34 has dlsym only in libdl, which not every program has. */
static void *search_for(const char *name) {
    struct search search = {.name = name};
    if (dl_iterate_phdr == NULL || dl_iterate_phdr(look, &search) == 0)
        return NULL;
    return (void *)search.found.start;
}

void *next_function(const char *name) {
    void *const next = (void *)-1L; /* dlsym(3): RTLD_NEXT */
    return dlsym != NULL ? dlsym(next, name) : search_for(name);
}
