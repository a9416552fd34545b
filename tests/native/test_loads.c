#include "unit.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../layout/elf_file.h"
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

static const char *obstacle_of(const char *path) {
    const struct machine machine = machine_of(X86_64, PAGE, 0x7ffc12345678);
    return loads_obstacle_of(path, &machine);
}

static void test_files(void **state) {
    (void)state;
    assert_null(obstacle_of("/proc/self/exe"));
    assert_null(obstacle_of("/nonexistent"));
    assert_null(obstacle_of("/dev/null"));
    assert_null(obstacle_of("/"));
    /* Cut within its headers: the kernel does not execute it. */
    struct program program = usual(ET_EXEC, 0x8000);
    memcpy(program.header.e_ident, ELFMAG, SELFMAG);
    program.header.e_phentsize = sizeof *program.phdrs;
    program.header.e_phoff = sizeof program.header;
    program.header.e_phnum = SEGMENTS;
    char path[] = "/tmp/test_loads.XXXXXX";
    int file = mkstemp(path);
    assert_true(file >= 0);
    assert_int_equal(write(file, &program.header, sizeof program.header), sizeof program.header);
    assert_null(obstacle_of(path));
    assert_int_equal(write(file, program.phdrs, sizeof program.phdrs), sizeof program.phdrs);
    assert_non_null(obstacle_of(path));
    assert_int_equal(ftruncate(file, sizeof program.header + sizeof program.phdrs - 1), 0);
    assert_null(obstacle_of(path));
    close(file);
    unlink(path);
}

static void test_32_bits(void **state) {
    (void)state;
    const struct machine wide = machine_of(X86_64, PAGE, 0x7ffc12345678),
                         machine = machine_narrow(&wide);
    struct program program = usual(ET_EXEC, 0x8048000);
    const char *found =
        loads_obstacle(&program.header, program.phdrs, program.count, &machine, UINT64_MAX);
    assert_null(found);
    const struct {
        Elf64_Half type;
        uint64_t start, last, align;
        const char *part;
    } refused[] = {
        {ET_EXEC, 0xa0000000, 0, PAGE, "has its mappings"},
        {ET_DYN, 0, 768 * mib, PAGE, "too far apart"},
        {ET_DYN, 0, 0, 4 * mib, "alignment"},
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        program = usual(refused[i].type, refused[i].start);
        program.phdrs[3].p_vaddr += refused[i].last;
        program.phdrs[1].p_align = refused[i].align;
        found = loads_obstacle(&program.header, program.phdrs, program.count, &machine, UINT64_MAX);
        assert_non_null(found);
        assert_non_null(strstr(found, refused[i].part));
    }
}

/* Fields are those of 64 bits, wherever they are in the file. */
static void test_files_of_32_bits(void **state) {
    (void)state;
    const Elf32_Phdr narrow[2] = {{PT_LOAD, 1, 0x8048002, 3, 4, 5, PF_R, PAGE},
                                  {.p_type = PT_DYNAMIC, .p_offset = 0, .p_filesz = 20}};
    Elf32_Ehdr written = {.e_type = ET_EXEC, .e_entry = 0x8048000, .e_phnum = 2};
    written.e_phoff = sizeof written;
    memcpy(written.e_ident, ELFMAG, SELFMAG);
    written.e_ident[EI_CLASS] = ELFCLASS32;
    written.e_ident[EI_DATA] = ELFDATA2LSB;
    char path[] = "/tmp/test_loads.XXXXXX";
    int file = mkstemp(path);
    assert_true(file >= 0);
    unlink(path);
    assert_int_equal(write(file, &written, sizeof written), sizeof written);
    assert_int_equal(write(file, narrow, sizeof narrow), sizeof narrow);
    Elf64_Ehdr header;
    Elf64_Phdr phdrs[2];
    Elf64_Dyn entries[4];
    assert_true(elf_read_header(file, &header));
    assert_true(header.e_entry == written.e_entry && header.e_phnum == 2);
    assert_false(elf_read_phdrs(file, &header, phdrs, 1));
    assert_true(elf_read_phdrs(file, &header, phdrs, 2));
    assert_true(phdrs[0].p_vaddr == 0x8048002 && phdrs[0].p_flags == PF_R &&
                phdrs[0].p_offset == 1 && phdrs[0].p_filesz == 4 && phdrs[0].p_memsz == 5 &&
                phdrs[0].p_align == PAGE);
    /* Entries of 8 bytes: the file's first ones, taken for such. */
    assert_int_equal(elf_read_dynamics(file, &header, &phdrs[1], entries, 4), 2);
    assert_int_equal(entries[0].d_tag, 0x464c457f);
    assert_int_equal(elf_read_dynamics(file, &header, &phdrs[1], entries, 1), 1);
    assert_int_equal(ftruncate(file, sizeof written + sizeof narrow - 1), 0);
    assert_false(elf_read_phdrs(file, &header, phdrs, 2));
    /* The kernel looks at neither of these. */
    const unsigned char ignored[] = {EI_CLASS, EI_DATA};
    for (size_t i = 0; i < sizeof ignored; i++) {
        assert_int_equal(pwrite(file, "\7", 1, ignored[i]), 1);
        assert_true(elf_read_header(file, &header));
        assert_int_equal(header.e_ident[EI_CLASS], ELFCLASS32);
    }
    assert_int_equal(pwrite(file, "\7", 1, EI_MAG0), 1);
    assert_false(elf_read_header(file, &header));
    close(file);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_can_be_moved),
        cmocka_unit_test(test_what_the_kernel_rejects),
        cmocka_unit_test(test_obstacles),
        cmocka_unit_test(test_obstacles_at_fixed_addresses),
        cmocka_unit_test(test_too_many_segments),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_32_bits),
        cmocka_unit_test(test_files_of_32_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
