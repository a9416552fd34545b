#include "caller.h"

#include <elf.h>
#include <stddef.h>

#include "loaded.h"
#include "object.h"

enum { RANGES_MAX = 8, FRAMES_MAX = 8 };

/* First members of a structure in dlfcn.h (glibc's since 2.35), whose other structures conflict
 * with the shim's. */
struct found_object {
    unsigned long long flags;
    void *map_start, *map_end;
    const struct {
        uintptr_t base;
        char *name;
        const void *dynamic;
    } * link_map;
    unsigned long long rest[9];
};
/* unwind.h */
struct frame;
enum { UNWIND_ON = 0, UNWIND_STOP = 4 };

extern int _dl_find_object(void *, struct found_object *) __attribute__((weak));
extern int _Unwind_Backtrace(int (*)(struct frame *, void *), void *) __attribute__((weak));
extern uintptr_t _Unwind_GetIP(struct frame *) __attribute__((weak));

static const char *const *names;
static struct range ranges[RANGES_MAX];
static int range_count;

/* dladdr(3) locks, and waits for a dlopen(3) in another thread; _dl_find_object does neither, which
 * matters because a signal handler and the child of a threaded program may ask for the time. */
static bool find_object(uintptr_t address, struct object *object) {
    struct found_object found;
    if (_dl_find_object == NULL || _dl_find_object((void *)address, &found) != 0 ||
        found.link_map == NULL)
        return false;
    *object = (struct object){found.link_map->base, found.link_map->dynamic};
    return true;
}

static bool is_in_named(const struct object *object, uintptr_t address) {
    struct range range;
    for (const char *const *name = names; *name != NULL; name++)
        if (object_function(object, *name, &range) && range_contains(&range, address))
            return true;
    return false;
}

struct lookup {
    uintptr_t address;
    bool is_found;
};

static int look_for_address(struct loaded_object *loaded, size_t size, void *argument) {
    struct lookup *lookup = argument;
    (void)size;
    lookup->is_found = loaded_contains(loaded, lookup->address);
    return lookup->is_found;
}

bool caller_is_in_object(uintptr_t address) {
    struct object object;
    struct lookup lookup = {.address = address};
    if (_dl_find_object != NULL)
        return find_object(address, &object);
    if (dl_iterate_phdr != NULL)
        dl_iterate_phdr(look_for_address, &lookup);
    return lookup.is_found;
}

bool caller_is_named(uintptr_t address) {
    struct object object;
    /* Last byte of the call: what follows it may belong to the next function. */
    address--;
    if (find_object(address, &object))
        return is_in_named(&object, address);
    for (int i = 0; i < range_count; i++)
        if (range_contains(&ranges[i], address))
            return true;
    return false;
}

struct search {
    uintptr_t address, next;
    int frames;
    bool is_found;
};

static int look_at_frame(struct frame *frame, void *argument) {
    struct search *search = argument;
    uintptr_t address = _Unwind_GetIP(frame);
    if (search->is_found) {
        search->next = address;
        return UNWIND_STOP;
    }
    search->is_found = address == search->address;
    return ++search->frames < FRAMES_MAX ? UNWIND_ON : UNWIND_STOP;
}

/* Returns whether the instruction before the address is a direct call. */
static bool is_direct_call(uintptr_t address) {
#if defined(__x86_64__) || defined(__i386__)
    return *(const unsigned char *)(address - 5) == 0xe8;
#else
    return (*(const uint32_t *)(address - 4) & 0xfc000000) == 0x94000000;
#endif
}

bool caller_is_called_by_named(uintptr_t address) {
    struct object object, other;
    struct range range;
    struct search search = {.address = address};
    if (!find_object(address - 1, &object) || !object_function(&object, *names, &range) ||
        _Unwind_Backtrace == NULL || _Unwind_GetIP == NULL)
        return false;
    _Unwind_Backtrace(look_at_frame, &search);
    return search.next != 0 && find_object(search.next - 1, &other) && other.base == object.base &&
           is_in_named(&object, search.next - 1) && is_direct_call(search.next);
}

static int note_functions(struct loaded_object *loaded, size_t size, void *unused) {
    (void)size;
    (void)unused;
    struct object object = loaded_as_object(loaded);
    for (const char *const *name = names; *name != NULL && range_count < RANGES_MAX; name++)
        if (object_function(&object, *name, &ranges[range_count]))
            range_count++;
    return 0;
}

void caller_begin(const char *const *sought) {
    names = sought;
    /* Later it could wait for a lock that nobody holds any more after a fork. */
    if (_dl_find_object == NULL && dl_iterate_phdr != NULL)
        dl_iterate_phdr(note_functions, NULL);
}
