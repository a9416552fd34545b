#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "tally.h"

enum { RECORDS = 400, PROCESSES = 5, SHARING = 3, ROUNDS = 200 };

/* As in tally.h, by comparing each record with each. */
struct expected {
    struct frames frames;
    uint64_t frame_count;
    struct contents contents[PROCESSES];
};

static bool is_same(const struct record *a, const struct record *b) {
    if (a->is_volatile || b->is_volatile)
        return a->is_volatile && b->is_volatile && a->frame == b->frame;
    return a->content == b->content;
}

static bool is_first_of_process(const struct record *records, size_t at) {
    for (size_t i = 0; i < at; i++)
        if (records[i].process == records[at].process && is_same(&records[i], &records[at]))
            return false;
    return true;
}

static bool is_first_of_frame(const struct record *records, size_t at) {
    for (size_t i = 0; i < at; i++)
        if (records[i].frame == records[at].frame)
            return false;
    return true;
}

static void look(const struct record *records, size_t count, size_t at, uint64_t *maps,
                 uint64_t *frames, uint64_t *processes) {
    bool has[PROCESSES] = {false};
    *maps = *frames = *processes = 0;
    for (size_t i = 0; i < count; i++) {
        if (!is_same(&records[i], &records[at]))
            continue;
        ++*maps;
        *frames += is_first_of_frame(records, i);
        *processes += !has[records[i].process];
        has[records[i].process] = true;
    }
}

static struct expected count_slowly(const struct record *records, size_t count) {
    struct expected expected = {0};
    for (size_t i = 0; i < count; i++) {
        uint64_t maps, frames, processes;
        look(records, count, i, &maps, &frames, &processes);
        if (is_first_of_process(records, i)) {
            struct contents *contents = &expected.contents[records[i].process];
            contents->distinct++;
            contents->in_one += processes == 1;
            contents->in_two += processes == 2;
            contents->in_three += processes == 3;
        }
        if (!is_first_of_frame(records, i))
            continue;
        uint64_t copies = (maps + SHARING - 1) / SHARING;
        uint64_t kept = copies < frames ? copies : frames;
        expected.frame_count++;
        expected.frames.kept += (double)kept / (double)frames;
        if (records[i].is_volatile)
            expected.frames.is_volatile++;
        else if (records[i].is_zero)
            expected.frames.zero++;
        else if (frames == kept)
            expected.frames.is_unique++;
        else if (processes == 1)
            expected.frames.equal_within++;
        else
            expected.frames.equal_across++;
    }
    return expected;
}

/* Process by process; some frames are mapped twice, with the first one's content. */
static void make(struct records *records) {
    records->count = 0;
    for (size_t i = 0; i < RECORDS; i++) {
        uint64_t content = 1 + (uint64_t)(rand() % 150);
        struct record record = {
            .content = content,
            .by_layout = content,
            .frame = (1000 + i) & 0xffff,
            .kind = KIND_ANONYMOUS,
            .is_zero = content == 1,
            .is_volatile = rand() % 20 == 0,
            .page = i & 0xffff,
            .process = (i * PROCESSES / RECORDS) & PROCESSES_MAX,
        };
        if (i > 0 && rand() % 10 == 0) {
            const struct record *shared = &records->items[(size_t)rand() % i];
            record.content = record.by_layout = shared->content;
            record.frame = shared->frame;
            record.is_zero = shared->is_zero;
            record.is_volatile = shared->is_volatile;
        }
        assert_true(records_add(records, record));
    }
}

static void assert_frames(const struct frames *got, const struct frames *expected) {
    assert_int_equal(got->zero, expected->zero);
    assert_int_equal(got->is_unique, expected->is_unique);
    assert_int_equal(got->equal_within, expected->equal_within);
    assert_int_equal(got->equal_across, expected->equal_across);
    assert_int_equal(got->is_volatile, expected->is_volatile);
    assert_float_equal((float)got->kept, (float)expected->kept, 0.01f);
}

static void test_as_counted_slowly(void **state) {
    (void)state;
    static struct records records;
    for (unsigned round = 0; round < ROUNDS; round++) {
        srand(round);
        make(&records);
        struct process_tally processes[PROCESSES] = {0};
        struct tally tally = {.processes = processes};
        struct expected expected = count_slowly(records.items, records.count);
        assert_true(tally_records(&records, SHARING, false, &tally));
        const struct kind_tally *kind = &tally.kinds[KIND_ANONYMOUS];
        assert_int_equal(kind->pages, RECORDS);
        assert_int_equal(kind->frames, expected.frame_count);
        assert_frames(&kind->plain, &expected.frames);
        for (int i = 0; i < PROCESSES; i++)
            assert_memory_equal(&processes[i].plain, &expected.contents[i],
                                sizeof(struct contents));
    }
}

static struct record page(uint64_t process, uint64_t content, uint64_t by_layout) {
    static uint64_t frame = 1;
    return (struct record){.content = content,
                           .by_layout = by_layout,
                           .frame = frame++ & 0xffff,
                           .process = process & PROCESSES_MAX};
}

/* Two processes, each with two different pages of one name, and one page that no other has. */
static void test_what_differs_within_a_process_stays(void **state) {
    (void)state;
    static struct records records;
    const struct record made[] = {page(0, 11, 5), page(0, 12, 5), page(0, 13, 6),
                                  page(1, 21, 5), page(1, 22, 5), page(1, 22, 5)};
    for (size_t i = 0; i < sizeof made / sizeof *made; i++)
        assert_true(records_add(&records, made[i]));
    struct process_tally processes[2] = {0};
    struct tally tally = {.processes = processes};
    assert_true(tally_records(&records, 256, true, &tally));
    assert_float_equal((float)tally.kinds[KIND_HEAP].plain.kept, 5.0f, 0.01f);
    assert_float_equal((float)tally.kinds[KIND_HEAP].by_layout.kept, 3.0f, 0.01f);
    assert_int_equal(processes[0].by_layout.in_one, 1);
    assert_int_equal(processes[0].by_layout.in_two, 2);
    assert_int_equal(processes[1].by_layout.distinct, 2);
}

static void test_no_records(void **state) {
    (void)state;
    struct records records = {0};
    struct tally tally = {0};
    assert_true(tally_records(&records, 256, true, &tally));
    assert_int_equal(tally.kinds[KIND_HEAP].frames, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_counted_slowly),
        cmocka_unit_test(test_what_differs_within_a_process_stays),
        cmocka_unit_test(test_no_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
