/* Gives Ruby the group's salt for hashes.
 *
 * ruby_setup has Init_RandomSeedCore fill hash_salt, a static variable of 24 bytes (20 in a
 * 32-bit program), before any Ruby code runs (random.c; eval.c). It salts the hashes of strings,
 * symbols and numbers (rb_memhash, rb_hash_start) and nothing else: default_rand and
 * Random.urandom, from which SecureRandom draws, ask later and by themselves, and "seed shouldn't
 * provide a hint that an attacker guess siphash's seed".
 *
 * Only the calls of getentropy(3) in the object that has ruby_setup are led here, and only its
 * first call is answered, if it fills that many bytes of that object's own data while ruby_setup
 * runs. */
#include "ruby.h"

#include <elf.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "imports.h"
#include "loaded.h"
#include "object.h"

/* Ruby is built without frame pointers, so a return address in ruby_setup is searched for. It lies
 * three frames up, and one of them holds a Mersenne Twister of 2.5 KiB (struct MT). */
enum { STACK_WORDS = 4096 / sizeof(uintptr_t) };
/* hash_salt_t: an st_index_t and SipHash's key. */
enum { SALT_BYTES = sizeof(uintptr_t) + 16 };

static const char setup_name[] = "ruby_setup";
static struct {
    unsigned char salt[SALT_BYTES];
    struct range setup, data;
    int (*real)(void *, size_t);
    atomic_bool is_asked;
} ruby;

static bool is_setup_running(const uintptr_t *stack) {
    for (int i = 0; i < STACK_WORDS; i++)
        if (range_contains(&ruby.setup, stack[i]))
            return true;
    return false;
}

static int getentropy_of_ruby(void *buffer, size_t bytes) {
    if (atomic_exchange(&ruby.is_asked, true) || bytes != SALT_BYTES ||
        !range_contains(&ruby.data, (uintptr_t)buffer) ||
        !is_setup_running(__builtin_frame_address(0)))
        return ruby.real(buffer, bytes);
    unsigned char *to = buffer;
    for (int i = 0; i < SALT_BYTES; i++)
        to[i] = ruby.salt[i];
    return 0;
}

static int look(struct loaded_object *loaded, size_t size, void *unused) {
    struct object object = loaded_as_object(loaded);
    (void)size;
    (void)unused;
    if (!object_function(&object, setup_name, &ruby.setup))
        return 0;
    ruby.data = loaded_range(loaded, PF_W);
    imports_replace_in(loaded, "getentropy", (void *)getentropy_of_ruby);
    return 1;
}

void ruby_begin(const unsigned char seed[SEED_BYTES]) {
    if (!imports_have(setup_name))
        return;
    ruby.real = (int (*)(void *, size_t))imports_function("getentropy");
    if (ruby.real == NULL)
        return;
    for (int i = 0; i < SALT_BYTES; i++)
        ruby.salt[i] = seed[i];
    dl_iterate_phdr(look, NULL);
}
