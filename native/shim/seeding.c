#include "seeding.h"

#include <stddef.h>

#include "../common/sha256.h"
#include "java.h"
#include "lua.h"
#include "node.h"
#include "ruby.h"
#include "tcache.h"

/* Whoever learns what one runtime got, knows nothing of what the others have. */
static const unsigned char *part(const struct settings *settings, const char *label,
                                 unsigned char seed[SEED_BYTES]) {
    size_t length = 0;
    while (label[length] != '\0')
        length++;
    hmac_sha256(settings->seed, SEED_BYTES, label, length, seed);
    return seed;
}

void seeding_begin(const struct settings *settings, char **environment) {
    unsigned char seed[SEED_BYTES];
    lua_begin(settings->has_seed ? part(settings, "lua", seed) : NULL);
    if (!settings->has_seed)
        return;
    if (!settings->is_under_valgrind)
        tcache_begin(part(settings, "tcache", seed));
    ruby_begin(part(settings, "ruby", seed));
    node_begin(part(settings, "node", seed), environment);
    java_begin(part(settings, "java", seed));
}
