/* The walk over this very process, alone and beside threads that change its memory. */
#include "unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sweep.h"

enum { KIB = 1024, MIB = 1024 * KIB, ROUNDS = 200 };
static struct excluded excluded;
static _Atomic int is_told;

static struct sweep prepare(void) {
    static char buffer[512];
    memset(&excluded, 0, sizeof excluded);
    atomic_store(&is_told, 0);
    return (struct sweep){
        .page_bytes = 4 * KIB,
        .maps = open("/proc/self/maps", O_RDONLY | O_CLOEXEC),
        .mark_min_bytes = 64 * KIB,
        .vmas_max = 60000,
        .resident_bytes = (size_t)1 << 30,
        .excluded = &excluded,
        .buffer = buffer,
        .buffer_bytes = sizeof buffer,
        .is_told_to_leave = &is_told,
    };
}

static bool is_marked(const void *address) {
    FILE *smaps = fopen("/proc/self/smaps", "re");
    char line[512];
    bool is_inside = false, marked = false;
    while (smaps != NULL && fgets(line, sizeof line, smaps) != NULL) {
        unsigned long start, end;
        if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
            is_inside = (uintptr_t)address >= start && (uintptr_t)address < end;
        if (is_inside && strncmp(line, "VmFlags:", 8) == 0)
            marked = strstr(line, " mg") != NULL;
    }
    if (smaps != NULL)
        fclose(smaps);
    return marked;
}

static int vmas_between(const void *from, const void *to) {
    FILE *maps = fopen("/proc/self/maps", "re");
    unsigned long start, end;
    char line[512];
    int count = 0;
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL)
        if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
            count += start < (uintptr_t)to && end > (uintptr_t)from;
    if (maps != NULL)
        fclose(maps);
    return count;
}

/* Between two shared mappings, with which nothing joins. */
static char *map_alone(size_t bytes) {
    char *at = mmap(NULL, bytes + 8 * KIB, PROT_NONE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(at != MAP_FAILED);
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
    char *area = mmap(at + 4 * KIB, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
    assert_true(area == at + 4 * KIB);
    return area;
}

static void test_marks_whole_neighbours(void **state) {
    (void)state;
    char *large = map_alone(256 * KIB), *small = map_alone(32 * KIB);
    /* Two adjacent VMAs, each too small, are large enough together. */
    char *pair = map_alone(80 * KIB);
    assert_int_equal(mprotect(pair, 40 * KIB, PROT_READ | PROT_WRITE | PROT_EXEC), 0);
    /* As with the merge flag, protection does not matter: a part that changes it can join again. */
    char *guarded = map_alone(128 * KIB);
    assert_int_equal(mprotect(guarded, 4 * KIB, PROT_NONE), 0);
    struct sweep sweep = prepare();
    assert_true(sweep_once(&sweep));
    assert_int_equal(sweep.state, SWEEP_AT_WORK);
    assert_true(is_marked(large) && is_marked(large + 255 * KIB));
    assert_false(is_marked(small));
    assert_true(is_marked(pair) && is_marked(pair + 79 * KIB));
    assert_true(is_marked(guarded) && is_marked(guarded + 127 * KIB));
    assert_true(sweep.vmas > 10 && sweep.marked_bytes >= 336 * KIB);
    int on_the_stack = 0;
    assert_false(is_marked(&on_the_stack));
    close(sweep.maps);
}

/* Several areas have space below, like malloc's arenas: each that has stopped growing is marked. */
static void test_marks_all_that_could_grow_down(void **state) {
    (void)state;
    enum { AREAS = 3, GAP = 128 * KIB * KIB };
    char *reserved =
        mmap(NULL, (size_t)AREAS * 2 * GAP, PROT_NONE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(reserved != MAP_FAILED);
    char *areas[AREAS];
    for (int i = 0; i < AREAS; i++) {
        char *room = reserved + (size_t)i * 2 * GAP + 4 * KIB;
        assert_int_equal(munmap(room, GAP), 0);
        areas[i] = room + GAP;
        /* The first mapping of each is small beside its neighbours, as at the beginning of
         * growth. */
        int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
        assert_true(mmap(areas[i], MIB, PROT_NONE, flags, -1, 0) == areas[i]);
        assert_int_equal(mprotect(areas[i], 256 * KIB, PROT_READ | PROT_WRITE), 0);
    }
    struct sweep sweep = prepare();
    assert_true(sweep_once(&sweep));
    assert_true(sweep_once(&sweep));
    assert_false(sweep.has_postponed);
    for (int i = 0; i < AREAS; i++)
        assert_true(is_marked(areas[i]));
    munmap(reserved, (size_t)AREAS * 2 * GAP);
    close(sweep.maps);
}

/* Memory that is added at the growing edge of an area joins it, although it is marked. */
static void test_growth_joins(void **state) {
    (void)state;
    char *heap = sbrk(0);
    memset(sbrk(256 * KIB), 1, 256 * KIB);
    struct sweep sweep = prepare();
    for (int step = 1; step < 20; step++) {
        assert_true(sweep_once(&sweep));
        memset(sbrk(64 * KIB), step, 64 * KIB);
    }
    assert_true(sweep_once(&sweep));
    assert_true(is_marked(heap) && is_marked((char *)sbrk(0) - 8 * KIB));
    assert_false(is_marked((char *)sbrk(0) - 1));
    assert_int_equal(vmas_between(heap, sbrk(0)), 2);
    close(sweep.maps);
}

static void test_leaves_alone_what_the_program_excludes(void **state) {
    (void)state;
    char *area = map_alone(256 * KIB);
    struct sweep sweep = prepare();
    excluded_add(&excluded, (uintptr_t)area + 64 * KIB, (uintptr_t)area + 68 * KIB);
    assert_true(sweep_once(&sweep));
    assert_false(is_marked(area) || is_marked(area + 64 * KIB) || is_marked(area + 255 * KIB));
    close(sweep.maps);
}

static void test_stops_at_the_limit_and_goes_on(void **state) {
    (void)state;
    char *area = map_alone(256 * KIB);
    struct sweep sweep = prepare();
    sweep.vmas_max = 5;
    assert_true(sweep_once(&sweep) && sweep_once(&sweep));
    assert_int_equal(sweep.state, SWEEP_STOPPED_AT_MAP_LIMIT);
    assert_false(is_marked(area));
    sweep.vmas_max = 60000;
    assert_true(sweep_once(&sweep));
    assert_int_equal(sweep.state, SWEEP_AT_WORK);
    assert_true(is_marked(area));
    atomic_store(&excluded.is_full, true);
    assert_true(sweep_once(&sweep));
    assert_int_equal(sweep.state, SWEEP_STOPPED_EXCLUDED);
    close(sweep.maps);
}

static void test_skips_sparse_reservations(void **state) {
    (void)state;
    size_t bytes = (size_t)2 << 30;
    char *area = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_true(area != MAP_FAILED);
    struct sweep sweep = prepare();
    sweep.resident_bytes = 100 << 20;
    assert_true(sweep_once(&sweep));
    assert_true(sweep.has_sparse);
    assert_false(is_marked(area));
    sweep.resident_bytes = bytes;
    assert_true(sweep_once(&sweep));
    assert_true(is_marked(area + 4 * KIB));
    munmap(area, bytes);
    close(sweep.maps);
}

/* What kept them apart is gone, but a kernel only checks when something changes. */
static void test_joins_neighbours(void **state) {
    (void)state;
    char *area = map_alone(128 * KIB);
    memset(area, 1, 128 * KIB);
    struct sweep sweep = prepare();
    sweep.work = SWEEP_JOIN;
    for (int page = 0; page < 32; page += 2)
        madvise(area + (size_t)page * 4 * KIB, 4 * KIB, MADV_RANDOM);
    assert_int_equal(vmas_between(area, area + 128 * KIB), 32);
    assert_true(sweep_once(&sweep));
    assert_int_equal(vmas_between(area, area + 128 * KIB), 1);
    excluded_add(&excluded, (uintptr_t)area, (uintptr_t)area + 4 * KIB);
    madvise(area, 4 * KIB, MADV_RANDOM);
    assert_true(sweep_once(&sweep));
    assert_int_equal(vmas_between(area, area + 128 * KIB), 2);
    close(sweep.maps);
}

static void test_without_maps(void **state) {
    (void)state;
    struct sweep sweep = prepare();
    close(sweep.maps);
    assert_false(sweep_once(&sweep));
}

static _Atomic bool is_over;

static void *advise(void *area) {
    uintptr_t start = (uintptr_t)area, end = start + 256 * KIB;
    while (!atomic_load(&is_over)) {
        excluded_add(&excluded, start, end);
        madvise(area, 256 * KIB, 13);
        usleep(10);
        /* The sweeper may be between marking it and undoing that. */
        if (is_marked(area) && usleep(20 * 1000) == 0 && is_marked(area))
            return area;
        excluded_remove(&excluded, start, end);
        madvise(area, 256 * KIB, 12);
    }
    return NULL;
}

static void *change_maps(void *unused) {
    while (!atomic_load(&is_over)) {
        char *area = map_alone(128 * KIB);
        memset(area, 1, 64 * KIB);
        mprotect(area, 4 * KIB, PROT_READ);
        munmap(area - 4 * KIB, 136 * KIB);
    }
    return unused;
}

static void test_beside_threads(void **state) {
    (void)state;
    char *held = map_alone(256 * KIB), *wavering = map_alone(256 * KIB);
    pthread_t advising, changing;
    struct sweep sweep = prepare();
    excluded_add(&excluded, (uintptr_t)held, (uintptr_t)held + 256 * KIB);
    atomic_store(&is_over, false);
    assert_int_equal(pthread_create(&advising, NULL, advise, wavering), 0);
    assert_int_equal(pthread_create(&changing, NULL, change_maps, NULL), 0);
    for (int round = 0; round < ROUNDS; round++)
        assert_true(sweep_once(&sweep));
    atomic_store(&is_over, true);
    void *wrongly_marked = NULL;
    pthread_join(advising, &wrongly_marked);
    pthread_join(changing, NULL);
    assert_null(wrongly_marked);
    assert_false(is_marked(held));
    close(sweep.maps);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_marks_whole_neighbours),
        cmocka_unit_test(test_marks_all_that_could_grow_down),
        cmocka_unit_test(test_growth_joins),
        cmocka_unit_test(test_leaves_alone_what_the_program_excludes),
        cmocka_unit_test(test_stops_at_the_limit_and_goes_on),
        cmocka_unit_test(test_skips_sparse_reservations),
        cmocka_unit_test(test_joins_neighbours),
        cmocka_unit_test(test_without_maps),
        cmocka_unit_test(test_beside_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
