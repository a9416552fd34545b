#include "unit.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "notes.h"

static const char wanted[] = "NODE_SEA_BLOB";

struct notes {
    char *bytes;
    size_t count;
};

/* In memory of just that size, so that reading beyond it is an error. */
static void add(struct notes *notes, const char *name, size_t content) {
    Elf32_Nhdr note = {.n_namesz = (Elf32_Word)strlen(name) + 1, .n_descsz = (Elf32_Word)content};
    size_t name_room = (note.n_namesz + 3U) & ~3U, room = (content + 3) & ~(size_t)3;
    char *bytes = calloc(1, notes->count + sizeof note + name_room + room);
    assert_non_null(bytes);
    if (notes->count > 0)
        memcpy(bytes, notes->bytes, notes->count);
    free(notes->bytes);
    memcpy(bytes + notes->count, &note, sizeof note);
    strcpy(bytes + notes->count + sizeof note, name);
    notes->bytes = bytes;
    notes->count += sizeof note + name_room + room;
}

static bool have(const struct notes *notes) {
    return notes_have(notes->bytes, notes->count, wanted, sizeof wanted);
}

static void test_found_wherever_it_stands(void **state) {
    (void)state;
    struct notes notes = {NULL, 0};
    assert_false(have(&notes));
    add(&notes, "GNU", 20);
    add(&notes, "NODE_SEA_BLOBS", 3);
    add(&notes, "NODE_SEA", 0);
    assert_false(have(&notes));
    add(&notes, wanted, 7);
    add(&notes, "GNU", 1);
    assert_true(have(&notes));
    free(notes.bytes);
}

/* Every length that is too short or too long, and any bytes instead of a header. */
static void test_damaged_ones(void **state) {
    (void)state;
    struct notes notes = {NULL, 0};
    add(&notes, "GNU", 20);
    add(&notes, wanted, 5);
    for (size_t count = 0; count < notes.count; count++) {
        char *part = malloc(count + 1);
        assert_non_null(part);
        memcpy(part, notes.bytes, count);
        notes_have(part, count, wanted, sizeof wanted);
        free(part);
    }
    for (unsigned field = 0; field < 2; field++)
        for (unsigned bit = 0; bit < 32; bit++) {
            Elf32_Word before;
            memcpy(&before, notes.bytes + 4 * field, sizeof before);
            Elf32_Word after = before ^ 1U << bit;
            memcpy(notes.bytes + 4 * field, &after, sizeof after);
            have(&notes);
            memcpy(notes.bytes + 4 * field, &before, sizeof before);
        }
    assert_true(have(&notes));
    free(notes.bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_found_wherever_it_stands),
        cmocka_unit_test(test_damaged_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
