/* Sets flags of V8 in Node.js, before main, as an addon may: the command line stays as it is.
 *
 * --hash-seed salts the hashes of strings (src/numbers/hash-seed.h). --random-seed seeds V8's own
 * generator, which draws addresses for its heap, identity hashes of objects and Math.random()
 * (isolate.cc: random_number_generator; math-random.cc), so that **Math.random() is the same in all
 * copies**. No secret is meant to pass through it: crypto, randomUUID and TLS draw from OpenSSL's
 * generator, which V8 only reads as a source of entropy (node's src/crypto/crypto_util.cc).
 * --single-threaded and --no-incremental-marking have objects moved, and code compiled, at the same
 * point of the program in all copies, instead of whenever a thread gets to it.
 *
 * Flags that the user gives come later, and win. An unknown flag would print an error, so only
 * versions of V8 that were tried get them: those of Node 18 to 26. Not a single executable
 * application, whose code cache V8 would reject with a warning (node's src/node_sea.cc), and in
 * Node 18 and 20 none that makes a snapshot or starts from one: they refuse one that was made with
 * other flags (src/node_snapshotable.cc: SnapshotData::Check). */
#include "node.h"

#include <elf.h>
#include <stddef.h>
#include <stdint.h>

#include "imports.h"
#include "loaded.h"
#include "notes.h"
#include "syscalls.h"

/* Node 18 has V8 10, 20 has 11, 22 has 12, 24 has 13, 26 has 14. */
enum { V8_MAJOR_MIN = 10, V8_MAJOR_WITH_STRICT_SNAPSHOTS = 11, V8_MAJOR_MAX = 14 };
enum { FLAG_BYTES = 48, COMMAND_BYTES = 1536 };

/* v8::V8::SetFlagsFromString(const char*), v8::V8::GetVersion(), node::Start(int, char**): other
 * programs with V8 (Chromium, Deno) do not have all of these. Electron has, and with Chromium a
 * library for films, of which one function is named here: nobody has tried the flags there. */
static const char set_flags_name[] = "_ZN2v82V818SetFlagsFromStringEPKc";
static const char get_version_name[] = "_ZN2v82V810GetVersionEv";
static const char start_name[] = "_ZN4node5StartEiPPc", chromium_name[] = "avcodec_open2";

typedef void set_flags(const char *);
typedef const char *get_version(void);

static void set_number(set_flags *set, const char *flag, const unsigned char seed[4]) {
    char text[FLAG_BYTES];
    size_t length = 0;
    while (flag[length] != '\0') {
        text[length] = flag[length];
        length++;
    }
    /* 0 would be none, and the type of one of the flags is int. */
    uint32_t number = 0;
    for (int i = 0; i < 4; i++)
        number = number << 8 | seed[i];
    number = (number & 0x7fffffff) | 1;
    size_t digits = 1;
    for (uint32_t rest = number; rest >= 10; rest /= 10)
        digits++;
    text[length + digits] = '\0';
    for (size_t at = length + digits; at > length; number /= 10)
        text[--at] = (char)('0' + number % 10);
    set(text);
}

static int major_of(const char *version) {
    int major = 0;
    while (*version >= '0' && *version <= '9' && major < 1000)
        major = major * 10 + (*version++ - '0');
    return major;
}

/* Returns whether the words, up to end, have one that contains "-snapshot": --snapshot-blob,
 * --build-snapshot, --build-snapshot-config; Node takes "_" for "-". */
static bool has_snapshot(const char *words, const char *end) {
    static const char part[] = "-snapshot";
    for (; words < end; words++) {
        size_t length = 0;
        while (words + length < end && part[length] != '\0' &&
               (words[length] == part[length] || (words[length] == '_' && part[length] == '-')))
            length++;
        if (part[length] == '\0')
            return true;
    }
    return false;
}

/* Options of Node stand before the script. */
static bool command_has_snapshot(void) {
    char words[COMMAND_BYTES];
    long file = open_readonly("/proc/self/cmdline");
    if (is_error(file))
        return false;
    long length = pread_at((int)file, words, sizeof words, 0);
    SYSTEM_CALL(NUMBER_CLOSE, file);
    return length > 0 && has_snapshot(words, words + length);
}

static bool options_have_snapshot(char **environment) {
    static const char name[] = "NODE_OPTIONS=";
    for (; environment != NULL && *environment != NULL; environment++) {
        const char *entry = *environment, *end = entry;
        size_t length = 0;
        while (entry[length] != '\0' && entry[length] == name[length])
            length++;
        while (*end != '\0')
            end++;
        if (name[length] == '\0' && has_snapshot(entry + length, end))
            return true;
    }
    return false;
}

/* The application is a note (postject's, which Node's manual names). */
static int look_for_application(struct loaded_object *loaded, size_t size, void *is_found) {
    static const char name[] = "NODE_SEA_BLOB";
    (void)size;
    for (int i = 0; i < loaded->header_count; i++) {
        const segment_header *header = &loaded->headers[i];
        uintptr_t notes = loaded->base + header->p_vaddr;
        if (header->p_type == PT_NOTE && header->p_memsz > 0 && loaded_contains(loaded, notes) &&
            loaded_contains(loaded, notes + header->p_memsz - 1) &&
            notes_have((const char *)notes, header->p_memsz, name, sizeof name))
            *(bool *)is_found = true;
    }
    return 1; /* The first is the program. */
}

static bool is_single_executable(void) {
    bool is_found = false;
    if (dl_iterate_phdr != NULL)
        dl_iterate_phdr(look_for_application, &is_found);
    return is_found;
}

void node_begin(const unsigned char seed[SEED_BYTES], char **environment) {
    if (!imports_have(start_name) || !imports_have(set_flags_name) ||
        !imports_have(get_version_name) || imports_have(chromium_name))
        return;
    set_flags *set = (set_flags *)imports_function(set_flags_name);
    get_version *version = (get_version *)imports_function(get_version_name);
    if (set == NULL || version == NULL)
        return;
    int major = major_of(version());
    if (major < V8_MAJOR_MIN || major > V8_MAJOR_MAX)
        return;
    if (is_single_executable() || (major <= V8_MAJOR_WITH_STRICT_SNAPSHOTS &&
                                   (command_has_snapshot() || options_have_snapshot(environment))))
        return;
    set_number(set, "--random-seed=", seed);
    set_number(set, "--hash-seed=", seed + 4);
    set("--single-threaded");
    set("--no-incremental-marking");
}
