#include "look.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#define XXH_NO_STREAM
#include "xxhash/xxhash.h"

#define OWN_NUMBERS (UINT64_C(1) << (FRAME_BITS - 1))

struct visit {
    struct look *look;
    uint64_t process;
    size_t next, end; /* of the records that are looked at again */
};

static uint64_t hash(const void *bytes) {
    return XXH3_64bits(bytes, page_bytes());
}

bool look_prepare(struct look *look) {
    look->named = aligned_alloc(page_bytes(), page_bytes());
    if (look->named == NULL)
        return false;
    memset(look->named, 0, page_bytes());
    look->zero_content = hash(look->named);
    look->zero_frame = zero_frame();
    look->frames_are_known = look->zero_frame != 0;
    return true;
}

/* Whether this is untouched memory. Without numbers of frames: zeros that others map too. */
static bool is_untouched(const struct look *look, const struct page *page, uint64_t content) {
    if (page->frame != 0)
        return page->frame == look->zero_frame;
    return content == look->zero_content && !page->is_exclusive;
}

/* Where the kernel does not tell it, a page that others map too is taken for one with the page of
 * the same content at the same place: that of a forked process. */
static uint64_t frame_of(const struct look *look, const struct page *page, uint64_t content) {
    if (page->frame != 0)
        return page->frame;
    if (page->is_exclusive)
        return OWN_NUMBERS | look->records.count;
    return OWN_NUMBERS | OWN_NUMBERS >> 1 | ((content ^ page->number) & (OWN_NUMBERS / 2 - 1));
}

static bool record_page(void *state, const struct page *page) {
    struct visit *visit = state;
    struct look *look = visit->look;
    uint64_t content = hash(page->bytes);
    if (is_untouched(look, page, content)) {
        look->zero_frame_pages++;
        return true;
    }
    uint64_t by_layout = content;
    if (look->with_layout && content != look->zero_content) {
        pointers_replace(&look->pointers, (const uint64_t *)(const void *)page->bytes, look->named,
                         page_bytes() / sizeof *look->named);
        by_layout = hash(look->named);
    }
    const struct record record = {
        .content = content,
        .by_layout = by_layout,
        .frame = frame_of(look, page, content) & ((UINT64_C(1) << FRAME_BITS) - 1),
        .kind = page->kind & 7,
        .is_zero = content == look->zero_content,
        .page = page->number & ((UINT64_C(1) << PAGE_BITS) - 1),
        .process = visit->process & PROCESSES_MAX,
    };
    return records_add(&look->records, record);
}

static bool compare_page(void *state, const struct page *page) {
    struct visit *visit = state;
    struct record *records = visit->look->records.items;
    while (visit->next < visit->end && records[visit->next].page < page->number)
        records[visit->next++].is_volatile = true;
    if (visit->next < visit->end && records[visit->next].page == page->number) {
        struct record *record = &records[visit->next++];
        record->is_volatile = record->content != hash(page->bytes);
    }
    return true;
}

void look_first(struct look *look, struct process *process, uint64_t number) {
    struct visit visit = {.look = look, .process = number};
    struct walked walked = {0};
    process->first = process->end = look->records.count;
    process->result = vmas_read(process->folder, &look->vmas);
    if (process->result == 0 && look->with_layout && !pointers_learn(&look->pointers, &look->vmas))
        process->result = -ENOMEM;
    if (process->result == 0)
        process->result = walk(process->folder, &look->vmas, record_page, &visit, &walked);
    /* The visitor ends a walk only where there is no memory for a record. */
    if (process->result == -ECANCELED)
        process->result = -ENOMEM;
    process->end = look->records.count;
    process->swapped_pages = walked.swapped_pages;
    look->read_pages += walked.read_pages;
}

void look_again(struct look *look, struct process *process) {
    struct visit visit = {.look = look, .next = process->first, .end = process->end};
    struct walked walked = {0};
    if (vmas_read(process->folder, &look->vmas) == 0)
        (void)walk(process->folder, &look->vmas, compare_page, &visit, &walked);
    while (visit.next < visit.end)
        look->records.items[visit.next++].is_volatile = true;
    look->read_pages += walked.read_pages;
}
