#include "seeds.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/sha256.h"

enum { ENTRY_BYTES = 64 };

static bool has(char **envp, const char *entry) {
    size_t name_bytes = strcspn(entry, "=") + 1;
    for (; *envp != NULL; envp++)
        if (strncmp(*envp, entry, name_bytes) == 0)
            return true;
    return false;
}

char **seeds_environment(char **envp, const unsigned char key[KEY_BYTES]) {
    unsigned char digest[SHA256_BYTES];
    uint64_t seed = 0;
    hmac_sha256(key, KEY_BYTES, "seed", 4, digest);
    for (int i = 0; i < 8; i++)
        seed = seed << 8 | digest[i];
    char entries[3][ENTRY_BYTES];
    /* CPython and PyPy: 1 to 4294967295; 0 would switch randomisation off (PYTHONHASHSEED). Perl: a
     * seed in hexadecimal, and an order of keys that only the seed determines (perlrun). */
    snprintf(entries[0], ENTRY_BYTES, "PYTHONHASHSEED=%" PRIu32, (uint32_t)seed | 1);
    snprintf(entries[1], ENTRY_BYTES, "PERL_HASH_SEED=0x%016" PRIx64, seed);
    snprintf(entries[2], ENTRY_BYTES, "PERL_PERTURB_KEYS=2");

    size_t count = 0;
    while (envp[count] != NULL)
        count++;
    char **copy = calloc(count + 4, sizeof *copy);
    if (copy == NULL)
        return NULL;
    memcpy(copy, envp, count * sizeof *envp);
    for (int i = 0; i < 3; i++) {
        if (has(envp, entries[i]))
            continue;
        copy[count] = strdup(entries[i]);
        if (copy[count++] == NULL)
            return NULL;
    }
    return copy;
}

void seeds_shim_word(const unsigned char key[KEY_BYTES], char word[SEEDS_WORD_BYTES]) {
    unsigned char digest[SHA256_BYTES];
    hmac_sha256(key, KEY_BYTES, "seed of the shim", 16, digest);
    char *end = word + snprintf(word, SEEDS_WORD_BYTES, "seed=");
    for (int i = 0; i < SHA256_BYTES; i++)
        end += snprintf(end, 3, "%02x", digest[i]);
}
