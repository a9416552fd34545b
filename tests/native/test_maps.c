#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "maps.h"

/* Returns the number of VMAs, after a comparison with what is read line by line. */
static int read_all(const char *text, struct vma *vmas, int vmas_max) {
    struct maps_reader reader = {0};
    int count = 0;
    const char *line = text;
    for (; *text != '\0'; text++) {
        struct vma vma, of_line;
        enum maps_result result = maps_read_byte(&reader, *text, &vma);
        assert_int_equal(result == MAPS_INSIDE, *text != '\n');
        if (result == MAPS_INSIDE)
            continue;
        assert_int_equal(maps_read_line(line, &of_line) != NULL, result == MAPS_VMA);
        line = text + 1;
        if (result == MAPS_VMA && count < vmas_max)
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
    assert_true(vmas[5].is_kernels && vmas[5].is_vdso && !vmas[5].is_vsyscall);
    assert_false(vmas[5].is_heap || vmas[4].is_kernels);
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

/* What differs in one field from what the kernel writes describes nothing, and the next line is
 * read all the same. */
static void test_only_what_the_kernel_writes(void **state) {
    (void)state;
    static const char *const others[] = {
        "",
        "xyz",
        "- - - -",
        "\xff\xff-",
        "1000-2000",
        "1000-2000 r-xp 00000000 08:02",
        "1000-2000 r-xp 00000000 08:02 ",
        "1000-2000 r-xp 00000000 08 02 7 /x",
        "1000-2000 r-xp 00000000 08:02 7f /x",
        "1000-2000 r-xp 0000000g 08:02 7 /x",
        "1000-2000 r-xp  08:02 7 /x",
        "1000-2000 r-x 00000000 08:02 7 /x",
        "1000-2000 r-xpp 00000000 08:02 7 /x",
        "1000-2000 rx-p 00000000 08:02 7 /x",
        "1000-2000 r-x- 00000000 08:02 7 /x",
        "1000 2000 r-xp 00000000 08:02 7 /x",
        "1000-2000-3000 r-xp 00000000 08:02 7 /x",
        "-2000 r-xp 00000000 08:02 7 /x",
        " 1000-2000 r-xp 00000000 08:02 7 /x",
        "0x1000-2000 r-xp 00000000 08:02 7 /x",
        "1000-200G r-xp 00000000 08:02 7 /x",
        "2000-2000 r-xp 00000000 08:02 7 /x",
        "2000-1000 r-xp 00000000 08:02 7 /x",
        "11111111111111111-22222222222222222 r-xp 00000000 08:02 7 /x",
        "Size:                  4 kB",
        "VmFlags: rd wr mr mw me ac ",
        "FilePmdMapped:         0 kB",
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        char text[256];
        struct vma vmas[2];
        snprintf(text, sizeof text, "%s\n1000-2000 r-xp 00000000 08:02 7 /x\n", others[i]);
        assert_int_equal(read_all(text, vmas, 2), 1);
        assert_null(maps_read_line(others[i], &vmas[1]));
    }
}

static void test_names(void **state) {
    (void)state;
    struct vma vma;
    const char *line = "1000-2000 r-xp 00000000 08:02 7       /a  b \n";
    assert_ptr_equal(maps_read_line(line, &vma), strchr(line, '/'));
    line = "1000-2000 rw-p 00000000 00:00 0 ";
    assert_ptr_equal(maps_read_line(line, &vma), line + strlen(line));
    /* A device alone makes it a file: some file systems have an inode 0. */
    assert_non_null(maps_read_line("1000-2000 r-xp 00000000 00:01 0 [vdso]", &vma));
    assert_true(vma.has_file && !vma.is_vdso && !vma.is_kernels);
    assert_non_null(maps_read_line("1000-2000 --xp 00000000 00:00 0 [vsyscall]", &vma));
    assert_true(vma.is_vsyscall && vma.is_kernels && !vma.is_vdso);
    assert_non_null(maps_read_line("1000-2000 r--p 00000000 00:00 0 [vvar_vclock]", &vma));
    assert_true(vma.is_kernels && !vma.is_vsyscall && !vma.is_vdso);
    assert_non_null(maps_read_line("1000-2000 r--p 00000000 00:00 0 [vdso] ", &vma));
    assert_false(vma.is_vdso);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_names_of_files),
        cmocka_unit_test(test_only_what_the_kernel_writes),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
