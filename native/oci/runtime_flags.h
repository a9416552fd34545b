/* Flags for whatever runtime a container starts: those that each version starts with, and that
 * contradict no option of the image's own. Same words as of `ksmrun wrap image --runtime-flags`
 * (ksmrun/plan/runtime_flags.py; tests/unit/test_runtime_flags.py compares them). */
#ifndef KSMRUN_OCI_RUNTIME_FLAGS_H
#define KSMRUN_OCI_RUNTIME_FLAGS_H

enum runtime_flags { RUNTIME_FLAGS_OFF, RUNTIME_FLAGS_MERGE, RUNTIME_FLAGS_SHRINK };
enum { RUNTIME_WORDS_MAX = 3 };

#define JAVA_EQUAL                                                                                 \
    "--prepend=JAVA_TOOL_OPTIONS=-XX:+IgnoreUnrecognizedVMOptions -XX:-UsePerfData -Xbatch "       \
    "-XX:TieredStopAtLevel=1 -XX:+UnlockDiagnosticVMOptions -XX:ArchiveRelocationMode=0 "
#define MONO_EQUAL "--prepend=MONO_GC_PARAMS=nursery-size=8m,major=marksweep,no-concurrent-sweep,"

/* The launcher's words, NULL after the last. */
static const char *const runtime_words[][RUNTIME_WORDS_MAX + 1] = {
    [RUNTIME_FLAGS_OFF] = {NULL},
    [RUNTIME_FLAGS_MERGE] = {JAVA_EQUAL, MONO_EQUAL, NULL},
    [RUNTIME_FLAGS_SHRINK] = {JAVA_EQUAL "-XX:TrimNativeHeapInterval=1000 ", MONO_EQUAL,
                              "--variable=MALLOC_ARENA_MAX=1", NULL},
};

#endif
