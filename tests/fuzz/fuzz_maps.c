/* /proc/PID/maps, as parsed by the launcher and the shim. */
#include "fuzz.h"

#include "maps.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct maps_reader reader = {0};
    struct vma vma;
    size_t lines = 0, ends = 0;
    for (size_t i = 0; i < size; i++) {
        ends += data[i] == '\n';
        if (!maps_read_byte(&reader, (char)data[i], &vma))
            continue;
        lines++;
        /* Only the kernel names mappings without a file. */
        PROMISE(!vma.has_file || !(vma.is_heap || vma.is_main_stack || vma.is_kernels));
    }
    PROMISE(lines == ends);
    return 0;
}
