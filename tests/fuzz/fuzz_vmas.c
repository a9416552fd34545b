/* /proc/PID/maps, as parsed by ksmrun-estimate. */
#include "fuzz.h"

#include "../../native/estimate/vmas.c"

void reader_tick(void) {
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *line = fuzz_text(data, size);
    struct mapping mapping;
    if (parse(line, "/usr/bin/program", &mapping)) {
        PROMISE(mapping.start < mapping.end && mapping.kind <= KIND_SHARED);
        PROMISE(mapping.kind != KIND_FILE || mapping.file != 0);
    }
    free(line);
    return 0;
}
