#include "unit.h"

#include <stdlib.h>

#include "pointers.h"

#define TEXT(number) UINT64_C(number)

/* Two processes of one program with different bases; the second has the libraries in reverse order,
 * as alignment can cause. */
static struct mapping first_vmas[] = {
    {TEXT(0x10000), TEXT(0x20000), KIND_ANONYMOUS, false, 0, 0, false}, /* by 32-bit pointers */
    {TEXT(0x555500000000), TEXT(0x555500004000), KIND_FILE, true, 0, 77, false},
    {TEXT(0x555500004000), TEXT(0x555500005000), KIND_ANONYMOUS, false, 0, 0, false},
    {TEXT(0x555500105000), TEXT(0x555500205000), KIND_HEAP, false, 0, 0, false},
    {TEXT(0x700000000000), TEXT(0x700000100000), KIND_ANONYMOUS, false, 0, 0,
     false}, /* by the program */
    {TEXT(0x7f1000000000), TEXT(0x7f1000100000), KIND_ANONYMOUS, false, 0, 0, false},
    {TEXT(0x7f1000200000), TEXT(0x7f1000204000), KIND_FILE, false, TEXT(0x3000), TEXT(0x110000000),
     false},
    {TEXT(0x7f1000300000), TEXT(0x7f1000304000), KIND_FILE, false, 0, TEXT(0x220000000), false},
    {TEXT(0x7ffc00000000), TEXT(0x7ffc00021000), KIND_STACK, false, 0, 0, false},
    {TEXT(0xffffffffff600000), TEXT(0xffffffffff601000), KIND_KERNELS, false, 0, 0, false},
};
static struct mapping second_vmas[] = {
    {TEXT(0x30000), TEXT(0x40000), KIND_ANONYMOUS, false, 0, 0, false},
    {TEXT(0x561100000000), TEXT(0x561100004000), KIND_FILE, true, 0, 77, false},
    {TEXT(0x561100004000), TEXT(0x561100005000), KIND_ANONYMOUS, false, 0, 0, false},
    {TEXT(0x5611aa005000), TEXT(0x5611aa105000), KIND_HEAP, false, 0, 0, false},
    {TEXT(0x700000000000), TEXT(0x700000100000), KIND_ANONYMOUS, false, 0, 0, false},
    {TEXT(0x7e2000000000), TEXT(0x7e2000100000), KIND_ANONYMOUS, false, 0, 0, false},
    {TEXT(0x7e2000500000), TEXT(0x7e2000504000), KIND_FILE, false, 0, TEXT(0x220000000), false},
    {TEXT(0x7e2000600000), TEXT(0x7e2000604000), KIND_FILE, false, TEXT(0x3000), TEXT(0x110000000),
     false},
    {TEXT(0x7ffd40000000), TEXT(0x7ffd40031000), KIND_STACK, false, 0, 0, false},
};

static uint64_t replaced(struct mapping *vmas, size_t count, uint64_t word) {
    struct pointers pointers = {0};
    struct vmas list = {vmas, count, count};
    uint64_t named;
    assert_true(pointers_learn(&pointers, &list));
    pointers_replace(&pointers, &word, &named, 1);
    free(pointers.spans);
    return named;
}

static uint64_t first(uint64_t word) {
    return replaced(first_vmas, sizeof first_vmas / sizeof *first_vmas, word);
}

static uint64_t second(uint64_t word) {
    return replaced(second_vmas, sizeof second_vmas / sizeof *second_vmas, word);
}

static void test_same_places_have_one_name(void **state) {
    (void)state;
    static const uint64_t places[][2] = {
        {TEXT(0x555500001230), TEXT(0x561100001230)}, /* program */
        {TEXT(0x555500004018), TEXT(0x561100004018)}, /* its bss */
        {TEXT(0x555500105010), TEXT(0x5611aa005010)}, /* heap */
        {TEXT(0x7f1000012340), TEXT(0x7e2000077340)}, /* anonymous: the offset in the page */
        {TEXT(0x7f1000201008), TEXT(0x7e2000601008)}, /* a library */
        {TEXT(0x7f1000304000), TEXT(0x7e2000504000)}, /* the end of one */
        {TEXT(0x7ffc00020ff8), TEXT(0x7ffd40030ff8)}, /* stack, from its end */
        {TEXT(0xfff4555500105010), TEXT(0xfff45611aa005010)}, /* with a tag */
        {TEXT(0x00013450deadbeef), TEXT(0x00037450deadbeef)}, /* a 32-bit one above */
    };
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        assert_int_equal(first(places[i][0]), second(places[i][1]));
        assert_int_not_equal(first(places[i][0]), places[i][0]);
    }
}

static void test_other_places_differ(void **state) {
    (void)state;
    assert_int_not_equal(first(TEXT(0x555500001230)), second(TEXT(0x561100001238)));
    assert_int_not_equal(first(TEXT(0x7f1000201008)), second(TEXT(0x7e2000501008)));
    assert_int_not_equal(first(TEXT(0x7f1000012340)), second(TEXT(0x7e2000077348)));
    assert_int_not_equal(first(TEXT(0x7ffc00020ff8)), second(TEXT(0x7e2000077ff8)));
}

static void test_other_words_stay(void **state) {
    (void)state;
    static const uint64_t words[] = {0,
                                     1,
                                     TEXT(0x5554ffffffff),
                                     TEXT(0x700000001000), /* requested by the program */
                                     TEXT(0x7f1000400000),
                                     TEXT(0x7ffc00021008),
                                     UINT64_MAX};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        assert_int_equal(first(words[i]), words[i]);
}

static void test_no_mappings(void **state) {
    (void)state;
    assert_int_equal(replaced(first_vmas, 0, 4242), 4242);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_places_have_one_name),
        cmocka_unit_test(test_other_places_differ),
        cmocka_unit_test(test_other_words_stay),
        cmocka_unit_test(test_no_mappings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
