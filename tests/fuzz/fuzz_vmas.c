/* /proc/PID/maps, as parsed by ksmrun-estimate. */
#include "fuzz.h"

#include "../../native/estimate/vmas.c"

void reader_tick(void) {
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *line = fuzz_text(data, size);
    struct vma vma = parse(line, "/usr/bin/program");
    PROMISE(vma.kind <= KIND_SHARED);
    PROMISE(vma.kind != KIND_FILE || vma.file != 0);
    free(line);
    return 0;
}
