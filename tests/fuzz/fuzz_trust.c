/* The state of the trust domains, which decides whether a launch merges. */
#include "fuzz.h"

#include "trust.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char boot[] = "0a1b2c3d-0000-4000-8000-000000000001";
    char holder[DOMAIN_BYTES], again[DOMAIN_BYTES + 128];
    char *text = fuzz_text(data, size);
    enum trust_state state = trust_parse(text, size, boot, holder);
    PROMISE(memchr(holder, '\0', sizeof holder) != NULL);
    PROMISE(holder[0] == '\0' || (state == TRUST_KNOWN && trust_is_name(holder)));
    /* One text alone says that a domain may merge. */
    if (state == TRUST_KNOWN) {
        int length = snprintf(again, sizeof again, "ksmrun-trust 1\nboot %s\ndomain %s\n", boot,
                              holder[0] == '\0' ? "-" : holder);
        PROMISE((size_t)length == size && memcmp(again, data, size) == 0);
    }
    free(text);
    return 0;
}
