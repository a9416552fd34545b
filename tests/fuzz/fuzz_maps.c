/* /proc/PID/maps, as all programs and the shim parse it. */
#include "fuzz.h"

#include "maps.h"

static void check(const struct vma *vma) {
    bool is_named = vma->is_heap || vma->is_main_stack || vma->is_kernels;
    PROMISE(vma->start < vma->end);
    /* Only the kernel names mappings without a file. */
    PROMISE(!vma->has_file || !is_named);
    PROMISE(vma->is_kernels || !(vma->is_vdso || vma->is_vsyscall));
    for (size_t i = 0; i < sizeof vma->perms; i++)
        PROMISE(vma->perms[i] == "rwxp"[i] || vma->perms[i] == "---s"[i]);
}

/* By bytes and by lines the same is read. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct maps_reader reader = {0};
    struct vma vma, of_line;
    size_t begin = 0;
    for (size_t i = 0; i < size; i++) {
        enum maps_result result = maps_read_byte(&reader, (char)data[i], &vma);
        PROMISE((result == MAPS_INSIDE) == (data[i] != '\n'));
        if (result == MAPS_INSIDE)
            continue;
        char *line = fuzz_text(data + begin, i - begin);
        if (strlen(line) == i - begin) {
            const char *name = maps_read_line(line, &of_line);
            PROMISE((name != NULL) == (result == MAPS_VMA));
            PROMISE(name == NULL || (name >= line && name <= line + strlen(line)));
            if (name != NULL)
                PROMISE(vma.start == of_line.start && vma.end == of_line.end &&
                        vma.is_heap == of_line.is_heap);
        }
        free(line);
        if (result == MAPS_VMA)
            check(&vma);
        begin = i + 1;
    }
    return 0;
}
