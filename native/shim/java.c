/* Gives Java 17 the group's order of Set.of and Map.of.
 *
 * The first Java code that asks for System.nanoTime() is the initialiser of ImmutableCollections,
 * early in System.initPhase1: its result becomes SALT32L and REVERSE, which order the elements of
 * those collections and nothing else (java.base: java/util/ImmutableCollections.java), and so all
 * that is allocated while they are gone through. It is the first clock_gettime(CLOCK_MONOTONIC)
 * that generated code asks libjvm for. It is answered once; the process has the real time from then
 * on, and had it before.
 *
 * In other versions another call may come first, perhaps to measure a time: libjvm's functions show
 * the version (JVM_DumpDynamicArchive came with 17, JVM_IsFinalizationEnabled with 18).
 *
 * The launcher loads libjvm by dlopen(3) and asks for JNI_CreateJavaVM (java.base:
 * unix/native/libjli/java_md.c: LoadJavaVM): then libjvm's own calls are led here, until the one is
 * answered. */
#include "java.h"

#include <elf.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "caller.h"
#include "imports.h"
#include "loaded.h"
#include "object.h"
#include "text.h"

enum { CLOCK_MONOTONIC = 1, FRAMES_MAX = 3, FRAME_BYTES_MAX = 4096 };

struct moment {
    long seconds, nanoseconds;
};

static const char launch_name[] = "JLI_Launch", create_name[] = "JNI_CreateJavaVM";
static struct {
    struct moment moment;
    int (*real)(int, struct moment *);
    struct range code; /* libjvm's */
    atomic_bool is_answered;
} java;

/* libjvm and what it generates have frame pointers (HotSpot: -fno-omit-frame-pointer). Only frames
 * of libjvm's own functions are followed. */
static bool is_asked_by_generated_code(const uintptr_t *frame) {
    for (int i = 0; i < FRAMES_MAX && range_contains(&java.code, frame[1]); i++) {
        uintptr_t next = frame[0];
        if (next <= (uintptr_t)frame || next - (uintptr_t)frame > FRAME_BYTES_MAX ||
            next % sizeof *frame != 0)
            return false;
        frame = (const uintptr_t *)next;
        if (!caller_is_in_object(frame[1]))
            return true;
    }
    return false;
}

static void lead_to(void *function);

static int clock_gettime_of_libjvm(int clock, struct moment *now) {
    if (clock != CLOCK_MONOTONIC || !is_asked_by_generated_code(__builtin_frame_address(0)) ||
        atomic_exchange(&java.is_answered, true))
        return java.real(clock, now);
    lead_to((void *)java.real);
    *now = java.moment;
    return 0;
}

static int look(struct loaded_object *loaded, size_t size, void *function) {
    struct object object = loaded_as_object(loaded);
    struct range range;
    (void)size;
    if (!object_function(&object, create_name, &range) ||
        !object_function(&object, "JVM_DumpDynamicArchive", &range) ||
        object_function(&object, "JVM_IsFinalizationEnabled", &range))
        return 0;
    java.code = loaded_range(loaded, PF_X);
    imports_replace_in(loaded, "clock_gettime", function);
    return 1;
}

static void lead_to(void *function) {
    dl_iterate_phdr(look, function);
}

extern void *dlsym(void *, const char *) __attribute__((weak));

static void *dlsym_of_launcher(void *library, const char *name) {
    void *found = dlsym(library, name);
    if (found != NULL && text_equal(name, create_name) && !atomic_load(&java.is_answered))
        lead_to((void *)clock_gettime_of_libjvm);
    return found;
}

void java_begin(const unsigned char seed[SEED_BYTES]) {
    static const char *const launchers[] = {launch_name, NULL};
    if (!imports_have(launch_name) && !imports_have(create_name))
        return;
    java.real = (int (*)(int, struct moment *))imports_function("clock_gettime");
    if (java.real == NULL)
        return;
    /* As a clock could show them: some hours since the boot. */
    for (int i = 0; i < 4; i++) {
        java.moment.seconds = java.moment.seconds << 8 | seed[i];
        java.moment.nanoseconds = java.moment.nanoseconds << 8 | seed[4 + i];
    }
    java.moment.seconds %= 1 << 16;
    java.moment.nanoseconds %= 1000000000;
    imports_replace(launchers, "dlsym", (void *)dlsym_of_launcher);
    lead_to((void *)clock_gettime_of_libjvm);
}
