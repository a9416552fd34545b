/* KSMRUN_SHIM and LD_PRELOAD in an environment: the shim understands what the launcher accepts. */
#include "fuzz.h"

#include "settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *words[65];
    char *text = fuzz_text(data, size);
    int count = fuzz_words(text, size, words);
    struct settings settings = settings_read(words);
    PROMISE(settings.map_reserve_percent <= 99);
    settings_forget_shim(words);
    int left = 0;
    while (words[left] != NULL)
        PROMISE(strncmp(words[left++], "KSMRUN_SHIM=", 12) != 0);
    PROMISE(left <= count);
    free(text);
    return 0;
}
