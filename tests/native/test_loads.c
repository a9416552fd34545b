#include "unit.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../layout/loads.h"

enum { PAGE = 4096, SEGMENTS = 4 };
static const uint64_t mib = 1 << 20, tib = (uint64_t)1 << 40;

/* A program as linkers make it: a loader's name, code, and data with a part that is not in the
 * file. */
struct program {
    Elf64_Ehdr header;
    Elf64_Phdr phdrs[SEGMENTS];
    size_t count;
    uint64_t data_bytes;
};

static Elf64_Phdr load(uint64_t start, uint64_t in_file, uint64_t in_memory, Elf64_Word flags) {
    return (Elf64_Phdr){.p_type = PT_LOAD,
                        .p_vaddr = start,
                        .p_filesz = in_file,
                        .p_memsz = in_memory,
                        .p_flags = flags,
                        .p_align = PAGE};
}

static struct program usual(Elf64_Half type, uint64_t start) {
    return (struct program){
        .header = {.e_type = type},
        .phdrs = {{.p_type = PT_INTERP},
                  load(start, PAGE, PAGE, PF_R),
                  load(start + PAGE, PAGE, PAGE, PF_R | PF_X),
                  load(start + 2 * PAGE, 100, 2 * PAGE, PF_R | PF_W)},
        .count = SEGMENTS,
        .data_bytes = UINT64_MAX,
    };
}

static const char *obstacle(const struct program *program) {
    const struct machine machine = machine_of(X86_64, PAGE, 0x7ffc12345678);
    return loads_obstacle(&program->header, program->phdrs, program->count, &machine,
                          program->data_bytes);
}

static void is_refused(const struct program *program, const char *part) {
    const char *found = obstacle(program);
    assert_non_null(found);
    assert_non_null(strstr(found, part));
}

static void test_what_can_be_moved(void **state) {
    (void)state;
    struct program program = usual(ET_DYN, 0);
    assert_null(obstacle(&program));
    /* A program that brings its own loader. */
    program.phdrs[0].p_type = PT_NOTE;
    assert_null(obstacle(&program));
    program = usual(ET_EXEC, 0x400000);
    assert_null(obstacle(&program));
    program.data_bytes = 100;
    assert_null(obstacle(&program));
}

/* fs/binfmt_elf.c: load_elf_binary reports these itself. */
static void test_what_the_kernel_rejects(void **state) {
    (void)state;
    struct program program = usual(ET_DYN, 0);
    program.count = 1;
    assert_null(obstacle(&program));
    program.count = 0;
    assert_null(obstacle(&program));
    program = usual(ET_DYN, 0);
    program.phdrs[3].p_memsz = UINT64_MAX;
    assert_null(obstacle(&program));
}

static void test_obstacles(void **state) {
    (void)state;
    struct program program = usual(ET_DYN, 0);
    program.phdrs[2] = program.phdrs[1];
    is_refused(&program, "not in order");
    program = usual(ET_DYN, 0);
    program.phdrs[3].p_memsz = program.phdrs[3].p_filesz = 0;
    is_refused(&program, "empty segment");
    program = usual(ET_DYN, 0);
    program.phdrs[3].p_vaddr = tib;
    is_refused(&program, "too far apart");
    program = usual(ET_DYN, 0);
    program.phdrs[0].p_type = PT_NOTE;
    program.phdrs[3].p_vaddr = tib / 2;
    is_refused(&program, "too large for the mmap area");
    program = usual(ET_DYN, 0);
    program.phdrs[1].p_align = (uint64_t)1 << 31;
    is_refused(&program, "alignment");
    /* No power of two: the kernel ignores it. */
    program.phdrs[1].p_align += PAGE;
    assert_null(obstacle(&program));
    program = usual(ET_DYN, 0);
    program.phdrs[2].p_flags = PF_R;
    is_refused(&program, "no code");
    program = usual(ET_DYN, 0);
    program.data_bytes = 99;
    is_refused(&program, "ulimit -d");
}

static void test_obstacles_at_fixed_addresses(void **state) {
    (void)state;
    struct program program = usual(ET_EXEC, 0x8000);
    is_refused(&program, "below 64 KiB");
    /* What can be moved has other addresses in the end. */
    program.header.e_type = ET_DYN;
    assert_null(obstacle(&program));
    program = usual(ET_EXEC, 0x40000000);
    assert_null(obstacle(&program));
    program.phdrs[3].p_vaddr += 16 * mib;
    is_refused(&program, "MAP_32BIT");
    program = usual(ET_EXEC, 0x7e0000000000);
    is_refused(&program, "has its mappings");
}

static void test_too_many_segments(void **state) {
    (void)state;
    enum { MANY = 512 };
    static Elf64_Phdr phdrs[MANY];
    const struct machine machine = machine_of(X86_64, PAGE, 0x7ffc12345678);
    Elf64_Ehdr header = {.e_type = ET_DYN};
    phdrs[0].p_type = PT_INTERP;
    for (int i = 1; i < MANY; i++)
        phdrs[i] = load((uint64_t)i * PAGE, PAGE, PAGE, PF_R | PF_X);
    const char *found = loads_obstacle(&header, phdrs, MANY, &machine, UINT64_MAX);
    assert_non_null(found);
    assert_non_null(strstr(found, "more segments"));
    assert_null(loads_obstacle(&header, phdrs, MANY / 2, &machine, UINT64_MAX));
}

static void test_files(void **state) {
    (void)state;
    assert_null(loads_obstacle_of("/proc/self/exe"));
    assert_null(loads_obstacle_of("/nonexistent"));
    assert_null(loads_obstacle_of("/dev/null"));
    assert_null(loads_obstacle_of("/"));
    /* Cut within its headers: the kernel does not execute it. */
    struct program program = usual(ET_EXEC, 0x8000);
    program.header.e_phoff = sizeof program.header;
    program.header.e_phnum = SEGMENTS;
    char path[] = "/tmp/test_loads.XXXXXX";
    int file = mkstemp(path);
    assert_true(file >= 0);
    assert_int_equal(write(file, &program.header, sizeof program.header), sizeof program.header);
    assert_null(loads_obstacle_of(path));
    assert_int_equal(write(file, program.phdrs, sizeof program.phdrs), sizeof program.phdrs);
    assert_non_null(loads_obstacle_of(path));
    assert_int_equal(ftruncate(file, sizeof program.header + sizeof program.phdrs - 1), 0);
    assert_null(loads_obstacle_of(path));
    close(file);
    unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_can_be_moved),
        cmocka_unit_test(test_what_the_kernel_rejects),
        cmocka_unit_test(test_obstacles),
        cmocka_unit_test(test_obstacles_at_fixed_addresses),
        cmocka_unit_test(test_too_many_segments),
        cmocka_unit_test(test_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
