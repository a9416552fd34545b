#include "records.h"

#include <sys/mman.h>

enum { FIRST_CAPACITY = 1 << 16 };

static bool grow(struct records *records) {
    size_t capacity = records->capacity == 0 ? FIRST_CAPACITY : records->capacity * 2;
    void *items = records->items == NULL
                      ? mmap(NULL, capacity * sizeof *records->items, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
                      : mremap(records->items, records->capacity * sizeof *records->items,
                               capacity * sizeof *records->items, MREMAP_MAYMOVE);
    if (items == MAP_FAILED)
        return false;
    records->items = items;
    records->capacity = capacity;
    return true;
}

bool records_add(struct records *records, struct record record) {
    if (records->count == records->capacity && !grow(records))
        return false;
    records->items[records->count++] = record;
    return true;
}
