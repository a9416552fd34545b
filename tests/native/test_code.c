#include "unit.h"

#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "code.h"

enum { PAGE = 4096 };
static const unsigned char call[] = {0x0f, 0x05};
static char folder[64];
static struct process process;

static int make(void **state) {
    (void)state;
    strcpy(folder, "/tmp/ksmrun-code-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return 1;
    process = (struct process){.pid = 1, .folder = open(folder, O_RDONLY | O_DIRECTORY)};
    return process.folder < 0;
}

static int drop(void **state) {
    static const char *const names[] = {"mem", "pagemap", "auxv", "maps"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unlinkat(process.folder, names[i], 0);
    close(process.folder);
    return rmdir(folder);
}

static void put(const char *name, const void *bytes, size_t size, off_t at) {
    int file = openat(process.folder, name, O_CREAT | O_WRONLY, 0600);
    assert_true(file >= 0);
    assert_int_equal(pwrite(file, bytes, size, at), size);
    close(file);
}

/* Simulates a process with these mappings: a page of code at each place, in memory or not. */
static void given(const char *maps, const uint64_t *places, size_t count, bool is_present) {
    const uint64_t entry = is_present ? UINT64_C(1) << 63 : 0;
    static const unsigned char page[PAGE];
    put("maps", maps, strlen(maps), 0);
    for (size_t i = 0; i < count; i++) {
        put("mem", page, sizeof page, (off_t)places[i]);
        put("mem", call, sizeof call, (off_t)places[i] + 64);
        put("pagemap", &entry, sizeof entry, (off_t)(places[i] / PAGE * sizeof entry));
    }
}

#define VDSO "00003000-00004000 r-xp 00000000 00:00 0                          [vdso]\n"
#define PROGRAM "00001000-00002000 r-xp 00000000 fe:00 77                         /bin/x\n"

static void test_the_vdso_comes_first(void **state) {
    (void)state;
    const uint64_t places[] = {0x1000, 0x3000}, auxv[] = {AT_SYSINFO_EHDR, 0x1000, AT_NULL, 0};
    put("auxv", auxv, sizeof auxv, 0);
    given(PROGRAM VDSO, places, 2, true);
    assert_int_equal(code_find(&process), 0x3000 + 64);
}

static void test_names_make_no_vdso(void **state) {
    (void)state;
    static const char *const forged[] = {
        "00003000-00004000 r-xp 00000000 fe:00 9                          [vdso]\n",
        "00003000-00004000 r-xp 00000000 00:00 9                          [vdso]\n",
        "00003000-00004000 r-xp 00000000 00:01 0                          [vdso]\n",
        "00003000-00004000 r-xp 00000000 00:00 0                          /memfd:[vdso]\n",
        "00003000-00004000 r-xp 00000000 00:00 0                          [vdso] x\n",
        "00003000-00004000 r-xp 00000000 00:00 0                          [vdso] (deleted)\n",
        "00003000-00004000 r--p 00000000 00:00 0                          [vdso]\n",
        "00004000-00003000 r-xp 00000000 00:00 0                          [vdso]\n",
    };
    const uint64_t places[] = {0x3000};
    for (size_t i = 0; i < sizeof forged / sizeof *forged; i++) {
        given(forged[i], places, 1, false);
        assert_int_equal(code_find(&process), 0);
        drop(state);
        make(state);
    }
}

static void test_a_long_name_is_one_line(void **state) {
    (void)state;
    const uint64_t places[] = {0x3000};
    /* Wherever a part of it may begin. */
    for (int length = 500; length < 520; length++) {
        char maps[2048];
        int used = snprintf(maps, sizeof maps, "00001000-00002000 r--p 00000000 fe:00 77 /");
        memset(maps + used, 'x', (size_t)(length - used));
        strcpy(maps + length, VDSO);
        given(maps, places, 1, false);
        assert_int_equal(code_find(&process), 0);
        drop(state);
        make(state);
    }
}

static void test_other_code_where_it_is_in_memory(void **state) {
    (void)state;
    const uint64_t places[] = {0x1000};
    given(PROGRAM, places, 1, false);
    assert_int_equal(code_find(&process), 0);
    given(PROGRAM, places, 1, true);
    assert_int_equal(code_find(&process), 0x1000 + 64);
}

static void test_no_vsyscall(void **state) {
    (void)state;
    const uint64_t places[] = {0x1000};
    given("00001000-00002000 r-xp 00000000 00:00 0                          [vsyscall]\n", places,
          1, true);
    assert_int_equal(code_find(&process), 0);
}

/* After gigabytes of code that is not in memory. */
static void test_not_more_is_looked_at_than_may_be(void **state) {
    (void)state;
    const uint64_t places[] = {0x3000001000};
    given("00010000000-03000000000 r-xp 00000000 00:00 0 \n"
          "03000001000-03000002000 r-xp 00000000 fe:00 77 /bin/x\n",
          places, 1, true);
    assert_int_equal(code_find(&process), 0x3000001000 + 64);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_vdso_comes_first, make, drop),
        cmocka_unit_test_setup_teardown(test_names_make_no_vdso, make, drop),
        cmocka_unit_test_setup_teardown(test_a_long_name_is_one_line, make, drop),
        cmocka_unit_test_setup_teardown(test_other_code_where_it_is_in_memory, make, drop),
        cmocka_unit_test_setup_teardown(test_no_vsyscall, make, drop),
        cmocka_unit_test_setup_teardown(test_not_more_is_looked_at_than_may_be, make, drop),
    };
#if defined(__x86_64__)
    return cmocka_run_group_tests(tests, NULL, NULL);
#else
    (void)tests;
    return 0;
#endif
}
