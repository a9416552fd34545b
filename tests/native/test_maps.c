#include "unit.h"

#include <string.h>

#include "maps.h"

static int read_all(const char *text, struct vma *vmas, int vmas_max) {
    struct maps_reader reader = {0};
    int count = 0;
    for (; *text != '\0'; text++) {
        struct vma vma;
        if (maps_read_byte(&reader, *text, &vma) && count < vmas_max)
            vmas[count++] = vma;
    }
    return count;
}

static void test_lines(void **state) {
    (void)state;
    static const char text[] =
        "00400000-00452000 r-xp 00000000 08:02 173521      /usr/bin/dbus-daemon\n"
        "7ffc0000-7fffa000 rw-p 00000000 00:00 0           [stack]\n"
        "1000-2000 rw-s 00000000 00:00 0 \n"
        "ab12cd34ef-ab12cd5000 -w-p 00000000 00:00 7    /tmp/[[stack] (deleted)\n"
        "5000-6000 rwxp 00000000 00:00 0    [heap]\n"
        "7000-8000 ---p 00000000 00:00 0 [vdso]\n"
        "7000-8000 ---p 00000000 00:00 9 /tmp/x [vdso]\n";
    struct vma vmas[8];
    assert_int_equal(read_all(text, vmas, 8), 7);
    assert_true(vmas[0].start == 0x400000 && vmas[0].end == 0x452000);
    assert_memory_equal(vmas[0].perms, "r-xp", 4);
    assert_true(vmas[0].has_file && !vmas[0].is_main_stack && !vmas[0].is_heap);
    assert_true(vmas[1].is_main_stack && !vmas[1].has_file);
    assert_memory_equal(vmas[2].perms, "rw-s", 4);
    assert_true(sizeof(void *) == 4 || vmas[3].start == 0xab12cd34efULL);
    assert_true(vmas[3].has_file && !vmas[3].is_main_stack);
    assert_true(vmas[4].is_heap && !vmas[4].is_main_stack);
    assert_true(vmas[5].is_kernels && !vmas[5].is_heap && !vmas[4].is_kernels);
    assert_false(vmas[6].is_kernels || vmas[6].is_main_stack);
}

/* A path may contain anything but a newline, which the kernel writes as \\012 (seq_file_path). */
static void test_names_of_files(void **state) {
    (void)state;
    static const char text[] =
        "1000-2000 r-xp 00003000 08:02 7    /tmp/Game [v1.2]/server\n"
        "2000-3000 rw-p 00000000 08:02 7    /tmp/x [stack]\n"
        "3000-4000 rw-p 00000000 08:02 7    /tmp/x\\0124000-5000 rw-p 0 00:00 0 [stack]\n"
        "4000-5000 rw-p 00000000 08:02 7    [heap]\n"
        "5000-6000 rw-p 00000000 00:00 0    [anon:[heap]]\n"
        "6000-7000 rw-p 00000000 00:00 0    [stack] (deleted)\n"
        "7000-8000 rw-p 00000000 00:00 0    [heap\n"
        "8000-9000 rw-p 00000000 00:2f 0    /fuse/[vdso]\n"
        "9000-a000 rw-p 00000000 00:00 0    [heap]\n";
    struct vma vmas[9];
    assert_int_equal(read_all(text, vmas, 9), 9);
    assert_int_equal(vmas[0].offset, 0x3000);
    for (int i = 0; i < 8; i++)
        assert_false(vmas[i].is_kernels || vmas[i].is_main_stack || vmas[i].is_heap);
    assert_true(vmas[8].is_heap);
}

static void test_garbage_ends(void **state) {
    (void)state;
    struct vma vmas[8];
    assert_int_equal(read_all("\n\nxyz\n- - - -\n\xff\xff-", vmas, 8), 4);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_names_of_files),
        cmocka_unit_test(test_garbage_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
