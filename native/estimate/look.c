#include "look.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "reader.h"

#define XXH_INLINE_ALL
#define XXH_NO_STREAM
#include "xxhash/xxhash.h"

#define OWN_NUMBERS (UINT64_C(1) << (FRAME_BITS - 1))

_Static_assert(SECRET_BYTES == XXH_SECRET_DEFAULT_SIZE, "as many as XXH3 has of its own");

/* A first reading, or with `is_again` a second one. */
struct visit {
    struct look *look;
    struct process *process;
    uint64_t number; /* of the process */
    bool is_again;
    uint64_t sent; /* records */
    uint64_t untouched_pages;
    size_t next; /* index of the next record to be compared */
};

static uint64_t hash(const struct look *look, const void *bytes) {
    return XXH3_64bits_withSecret(bytes, page_bytes(), look->secret, sizeof look->secret);
}

bool look_prepare(struct look *look) {
    look->named = aligned_alloc(page_bytes(), page_bytes());
    if (look->named == NULL || getrandom(look->secret, SECRET_BYTES, 0) != SECRET_BYTES)
        return false;
    memset(look->named, 0, page_bytes());
    look->zero_content = hash(look, look->named);
    look->zero_frame = zero_frame();
    look->frames_are_known = look->zero_frame != 0;
    return true;
}

/* Returns whether this is untouched memory. Without frame numbers: zeros that others map too. */
static bool is_untouched(const struct look *look, const struct page *page, uint64_t content) {
    if (page->frame != 0)
        return page->frame == look->zero_frame;
    return content == look->zero_content && !page->is_exclusive;
}

/* If the kernel does not show it, a page that others map too is assumed to share its frame with the
 * page of the same content at the same place: that of a forked process. */
static uint64_t frame_of(const struct visit *visit, const struct page *page, uint64_t content) {
    if (page->frame != 0)
        return page->frame;
    if (page->is_exclusive)
        return OWN_NUMBERS | (visit->look->records.count + visit->sent);
    return OWN_NUMBERS | OWN_NUMBERS >> 1 | ((content ^ page->number) & (OWN_NUMBERS / 2 - 1));
}

static uint64_t hash_by_layout(struct look *look, const struct page *page, uint64_t content) {
    if (!look->with_layout || content == look->zero_content)
        return content;
    pointers_replace(&look->pointers, (const uint64_t *)(const void *)page->bytes, look->named,
                     page_bytes() / sizeof *look->named);
    return hash(look, look->named);
}

static bool send_page(void *state, const struct page *page) {
    struct visit *visit = state;
    struct look *look = visit->look;
    uint64_t content = hash(look, page->bytes);
    if (!visit->is_again && is_untouched(look, page, content)) {
        visit->untouched_pages++;
        return true;
    }
    const struct record record = {
        .content = content,
        .by_layout = visit->is_again ? 0 : hash_by_layout(look, page, content),
        .frame = frame_of(visit, page, content) & ((UINT64_C(1) << FRAME_BITS) - 1),
        .kind = page->kind & 7,
        .is_zero = content == look->zero_content,
        .page = page->number & ((UINT64_C(1) << PAGE_BITS) - 1),
        .process = visit->number & PROCESSES_MAX,
    };
    visit->sent++;
    return reader_send(&record);
}

static int read_process(void *order, struct walked *walked) {
    struct visit *visit = order;
    struct look *look = visit->look;
    int result = vmas_read(visit->process->folder, &look->vmas);
    if (result == 0 && look->with_layout && !visit->is_again &&
        !pointers_learn(&look->pointers, &look->vmas))
        result = -ENOMEM;
    if (result == 0)
        result =
            walk(visit->process->folder, &look->vmas, look->zero_frame, send_page, visit, walked);
    walked->untouched_pages += visit->untouched_pages;
    return result;
}

static bool add(void *order, const struct record *record) {
    struct visit *visit = order;
    return records_add(&visit->look->records, *record);
}

/* Pages that are gone have changed; but zeros may be read from the zero frame now. */
static void mark_missing(struct visit *visit, uint64_t before_page) {
    struct record *records = visit->look->records.items;
    for (; visit->next < visit->process->end && records[visit->next].page < before_page;
         visit->next++)
        records[visit->next].is_volatile = !records[visit->next].is_zero;
}

static bool compare(void *order, const struct record *again) {
    struct visit *visit = order;
    struct record *records = visit->look->records.items;
    mark_missing(visit, again->page);
    if (visit->next < visit->process->end && records[visit->next].page == again->page) {
        struct record *record = &records[visit->next++];
        record->is_volatile = record->content != again->content;
    }
    return true;
}

/* A process with more memory may take longer, at a rate that the slowest machine reaches. A process
 * with little memory that claims to have much is not waited for. */
static double seconds_for(const struct process *process) {
    enum { SECONDS_MIN = 10 };
    static const double seconds_a_gib = 20;
    return SECONDS_MIN + seconds_a_gib * (double)walk_resident_pages(process->folder) *
                             (double)page_bytes() / (1 << 30);
}

void look_first(struct look *look, struct process *process, uint64_t number) {
    struct visit visit = {.look = look, .process = process, .number = number};
    struct walked walked = {0};
    const struct reading reading = {read_process, add, &visit, seconds_for(process)};
    process->first = look->records.count;
    process->result = reader_run(&reading, &walked);
    /* Half a reading would count pages of it as unique that are not. */
    if (process->result == -ETIME || process->result == -EFBIG)
        look->records.count = process->first;
    process->end = look->records.count;
    process->swapped_pages = walked.swapped_pages;
    look->read_pages += walked.read_pages;
    look->zero_frame_pages += process->result == 0 ? walked.untouched_pages : 0;
}

void look_again(struct look *look, struct process *process) {
    struct visit visit = {
        .look = look, .process = process, .is_again = true, .next = process->first};
    struct walked walked = {0};
    const struct reading reading = {read_process, compare, &visit, seconds_for(process)};
    (void)reader_run(&reading, &walked);
    mark_missing(&visit, UINT64_MAX);
    look->read_pages += walked.read_pages;
}
