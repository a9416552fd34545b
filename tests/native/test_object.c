#include "unit.h"

#include <elf.h>
#include <gnu/libc-version.h>
#include <link.h>
#include <stdbool.h>
#include <string.h>

#include "object.h"

/* Tables of an object with a hash table of one bucket, at an invented place: its symbols' addresses
 * are 16, 32, 48 and 0 above the base. */
enum { SYMBOLS = 5 };
static const char names[] = "\0first\0second\0data\0outside";
static Elf64_Sym symbols[SYMBOLS];
static uint32_t hash[4 + 2 + 1 + SYMBOLS - 1];
static Elf64_Dyn dynamic[4];

static uint32_t hash_of(const char *name) {
    uint32_t value = 5381;
    for (; *name != '\0'; name++)
        value = (value << 5) + value + (unsigned char)*name;
    return value;
}

static void add(int index, const char *name, unsigned char type, Elf64_Section section) {
    symbols[index] = (Elf64_Sym){
        .st_name =
            (Elf64_Word)((const char *)memmem(names, sizeof names, name, strlen(name)) - names),
        .st_info = ELF64_ST_INFO(STB_GLOBAL, type),
        .st_shndx = section,
        .st_value = (Elf64_Addr)index * 16,
        .st_size = 8,
    };
    hash[7 + index - 1] = (hash_of(name) & ~1U) | (index == SYMBOLS - 1 ? 1U : 0U);
}

static struct object make(uintptr_t base, bool is_relocated) {
    hash[0] = 1; /* buckets */
    hash[1] = 1; /* the first symbol that is hashed */
    hash[2] = 1; /* words of the Bloom filter */
    hash[6] = 1; /* the only bucket's first symbol */
    add(1, "first", STT_FUNC, 1);
    add(2, "second", STT_FUNC, 1);
    add(3, "data", STT_OBJECT, 1);
    add(4, "outside", STT_FUNC, SHN_UNDEF);
    uintptr_t less = is_relocated ? 0 : base;
    dynamic[0] = (Elf64_Dyn){DT_SYMTAB, {(Elf64_Addr)symbols - less}};
    dynamic[1] = (Elf64_Dyn){DT_STRTAB, {(Elf64_Addr)names - less}};
    dynamic[2] = (Elf64_Dyn){DT_GNU_HASH, {(Elf64_Addr)hash - less}};
    dynamic[3] = (Elf64_Dyn){DT_NULL, {0}};
    return (struct object){base, dynamic};
}

static void check_all(const struct object *object) {
    struct range range;
    assert_true(object_function(object, "first", &range));
    assert_int_equal(range.start, object->base + 16);
    assert_int_equal(range.end, object->base + 24);
    assert_true(object_function(object, "second", &range));
    assert_int_equal(range.start, object->base + 32);
    static const char *const absent[] = {"data", "outside", "", "firs", "first2", "third"};
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++)
        assert_false(object_function(object, absent[i], &range));
}

static void test_functions_by_name(void **state) {
    (void)state;
    /* A little below the tables, as in libraries, with addresses in them (glibc) and offsets
     * (musl). All three are within this file's data. */
    uintptr_t base = (uintptr_t)dynamic - ((uintptr_t)16 << 20);
    struct object object = make(base, true);
    check_all(&object);
    object = make(base, false);
    check_all(&object);
    /* As in a program at a fixed address. */
    object = make(0, true);
    check_all(&object);
}

static void test_what_is_missing(void **state) {
    (void)state;
    struct range range;
    struct object object = {0, NULL};
    assert_false(object_function(&object, "first", &range));
    for (int i = 0; i < 3; i++) {
        object = make(0, true);
        dynamic[i].d_tag = DT_DEBUG;
        assert_false(object_function(&object, "first", &range));
    }
    object = make(0, true);
    hash[0] = 0;
    assert_false(object_function(&object, "first", &range));
    object = make(0, true);
    hash[6] = 0;
    assert_false(object_function(&object, "first", &range));
}

static int look(struct dl_phdr_info *info, size_t size, void *count) {
    (void)size;
    struct object object = {info->dlpi_addr, NULL};
    struct range range;
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_DYNAMIC)
            object.dynamic = (const void *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
    if (object_function(&object, "gnu_get_libc_version", &range)) {
        assert_int_equal(range.start, (uintptr_t)gnu_get_libc_version);
        assert_true(range.end > range.start);
        ++*(int *)count;
    }
    return 0;
}

static void test_a_real_library(void **state) {
    (void)state;
    int count = 0;
    dl_iterate_phdr(look, &count);
    assert_int_equal(count, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_functions_by_name),
        cmocka_unit_test(test_what_is_missing),
        cmocka_unit_test(test_a_real_library),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
