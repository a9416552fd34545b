#include "tally.h"

#include <sys/mman.h>

struct entry {
    uint64_t key; /* 0: free */
    uint32_t frames;
    uint32_t maps; /* by layout: different pages of the last process */
    uint64_t processes : PROCESS_BITS + 1;
    uint64_t last_process : PROCESS_BITS + 1; /* plus one, so that 0 is none */
    uint64_t most : 24;                       /* by layout: most different pages of any process */
};

struct table {
    struct entry *entries;
    size_t capacity;
};

#define MOST_MAX ((UINT32_C(1) << 24) - 1)

/* The finalizer of SplitMix64, which spreads adjacent numbers. */
static uint64_t spread(uint64_t number) {
    number = (number ^ number >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    number = (number ^ number >> 27) * UINT64_C(0x94d049bb133111eb);
    return number ^ number >> 31;
}

/* At most four fifths full, because each record uses one entry at most. */
static bool table_make(struct table *table, size_t records) {
    table->capacity = records + records / 4 + 16;
    table->entries = mmap(NULL, table->capacity * sizeof *table->entries, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return table->entries != MAP_FAILED;
}

static void table_free(struct table *table) {
    munmap(table->entries, table->capacity * sizeof *table->entries);
}

/* The key must be spread evenly. */
static struct entry *table_at(const struct table *table, uint64_t key) {
    key = key == 0 ? 1 : key;
    size_t at = (size_t)(((unsigned __int128)key * table->capacity) >> 64);
    while (table->entries[at].key != 0 && table->entries[at].key != key)
        at = at + 1 == table->capacity ? 0 : at + 1;
    table->entries[at].key = key;
    return &table->entries[at];
}

static bool mark_frames(struct records *records, struct tally *tally) {
    struct table table;
    if (!table_make(&table, records->count))
        return false;
    for (size_t i = 0; i < records->count; i++) {
        struct record *record = &records->items[i];
        struct entry *entry = table_at(&table, spread(record->frame));
        record->is_first = entry->frames == 0;
        entry->frames = 1;
        tally->kinds[record->kind].pages++;
        tally->kinds[record->kind].frames += record->is_first;
        tally->processes[record->process].pages++;
        tally->processes[record->process].frames += record->is_first;
    }
    table_free(&table);
    return true;
}

static uint64_t key_of(const struct record *record, bool by_layout) {
    /* Pages that change between two readings will not merge, so they equal nothing. */
    if (record->is_volatile)
        return spread(record->frame ^ UINT64_C(1) << 63);
    return by_layout ? record->by_layout : record->content;
}

/* Number of these frames that KSM keeps. */
static uint64_t kept(const struct entry *entry, bool by_layout, uint64_t max_page_sharing) {
    uint64_t maps = by_layout ? entry->frames : entry->maps;
    uint64_t copies = (maps + max_page_sharing - 1) / max_page_sharing;
    copies = by_layout && entry->most > copies ? entry->most : copies;
    return copies < entry->frames ? copies : entry->frames;
}

static void add_frame(struct frames *frames, const struct record *record, const struct entry *entry,
                      uint64_t kept) {
    frames->kept += (double)kept / entry->frames;
    if (record->is_volatile)
        frames->is_volatile++;
    else if (record->is_zero)
        frames->zero++;
    else if (entry->frames == kept)
        frames->is_unique++;
    else if (entry->processes == 1)
        frames->equal_within++;
    else
        frames->equal_across++;
}

static void add_content(struct contents *contents, uint32_t processes) {
    contents->distinct++;
    contents->in_one += processes == 1;
    contents->in_two += processes == 2;
    contents->in_three += processes == 3;
}

/* Sets is_new: the first of its process with this content. */
static bool mark_new(struct records *records) {
    struct table table;
    if (!table_make(&table, records->count))
        return false;
    for (size_t i = 0; i < records->count; i++) {
        struct record *record = &records->items[i];
        uint64_t content = key_of(record, false);
        struct entry *entry = table_at(&table, spread(content ^ spread(record->process)));
        record->is_new = entry->frames == 0;
        entry->frames = 1;
    }
    table_free(&table);
    return true;
}

/* Records come process by process, so the last one suffices to count an entry's processes. */
static void add_record(struct entry *entry, const struct record *record, bool by_layout) {
    uint32_t process = (uint32_t)record->process + 1;
    bool is_other = entry->last_process != process;
    entry->frames += record->is_first;
    entry->processes += is_other;
    entry->last_process = process & (2 * PROCESSES_MAX + 1);
    if (!by_layout)
        entry->maps++;
    else {
        entry->maps = (is_other ? 0 : entry->maps) + record->is_new;
        uint32_t most = entry->maps < MOST_MAX ? entry->maps : MOST_MAX;
        if (most > entry->most)
            entry->most = most & MOST_MAX;
    }
}

static bool count(const struct records *records, uint64_t max_page_sharing, bool by_layout,
                  struct tally *tally) {
    struct table table;
    if (!table_make(&table, records->count))
        return false;
    for (size_t i = 0; i < records->count; i++)
        add_record(table_at(&table, key_of(&records->items[i], by_layout)), &records->items[i],
                   by_layout);
    for (size_t i = 0; i < records->count; i++) {
        const struct record *record = &records->items[i];
        const struct entry *entry = table_at(&table, key_of(record, by_layout));
        struct kind_tally *kind = &tally->kinds[record->kind];
        struct process_tally *process = &tally->processes[record->process];
        if (record->is_first)
            add_frame(by_layout ? &kind->by_layout : &kind->plain, record, entry,
                      kept(entry, by_layout, max_page_sharing));
        if (record->is_new)
            add_content(by_layout ? &process->by_layout : &process->plain,
                        (uint32_t)entry->processes);
    }
    table_free(&table);
    return true;
}

bool tally_records(struct records *records, uint64_t max_page_sharing, bool with_layout,
                   struct tally *tally) {
    return mark_frames(records, tally) && mark_new(records) &&
           count(records, max_page_sharing, false, tally) &&
           (!with_layout || count(records, max_page_sharing, true, tally));
}
