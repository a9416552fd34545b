#include "decide.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <unistd.h>

#include "check.h"
#include "go.h"
#include "identity.h"
#include "names.h"
#include "reap.h"
#include "room.h"
#include "sealed.h"
#include "target.h"
#include "tracee.h"

static const char privileged[] = "it changes user, group or capabilities at exec";
/* REAP_GAP: distance above the mmap area and what move_parts.c may put there. */
enum { REAP_GAP = 16 << 20, CODE_BYTES_MAX = 16 << 20, EXIT_OWN_FAILURE = 125 };

static bool find_instruction(struct injection *injection, const struct image *image) {
    for (int i = 0; i < image->vma_count; i++)
        if (image->vmas[i].start == image->vdso)
            return injection_find_instruction(injection, image->vdso, image->vmas[i].end);
    /* Without a vDSO, ld.so has one, or a static program itself; both begin with other code before
     * the end of their VMA. */
    uint64_t counter = PROGRAM_COUNTER(injection->registers);
    for (int i = 0; i < image->vma_count; i++) {
        uint64_t start = image->vmas[i].start, end = image->vmas[i].end;
        if (counter >= start && counter < end)
            return injection_find_instruction(
                injection, start, end - start < CODE_BYTES_MAX ? end : start + CODE_BYTES_MAX);
    }
    return false;
}

/* Returns whether the exec did what was arranged for it: otherwise a part would be at public
 * addresses. */
static const char *not_as_arranged(pid_t pid, const struct image *image,
                                   const struct machine *machine, uint64_t mmap_top) {
    unsigned long now;
    uint64_t loader = image->parts[PART_LOADER].start;
    if (!tracee_personality(pid, &now) || (now & ADDR_NO_RANDOMIZE) == 0)
        return "the kernel reset its personality at exec";
    if (loader != 0 && (loader >= mmap_top || mmap_top - loader > machine->loader_bytes_max))
        return "its loader is not where the stack limit puts it";
    return NULL;
}

/* MemorySanitizer, ThreadSanitizer and DataFlowSanitizer end a program that has anything mapped
 * where their shadow memory is to be, as a reservation has (compiler-rt: msan.h, tsan_platform.h).
 */
static bool is_sanitized(const char *path) {
    static const char *const names[] = {"__msan_init", "__tsan_init", "__dfsan_arg_tls", NULL};
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0)
        return false;
    struct names found = names_read(file);
    bool is_found = names_have(&found, names);
    free(found.strings);
    close(file);
    return is_found;
}

/* Returns whether reservations can hold the mmap area down to where it should begin. */
static const char *not_reservable(const struct move_request *request, const struct image *image,
                                  const struct bases *bases) {
    pid_t pid = request->pid;
    uint64_t space_bytes;
    if (is_sanitized(request->file))
        return "it is built with a sanitizer (-fsanitize=memory, thread or dataflow), which fails "
               "if a part of its addresses is reserved";
    if (!tracee_limit(pid, "Max address space", &space_bytes) || space_bytes != RLIM_INFINITY)
        return "its address space is limited (ulimit -v), and a part of it would have to be "
               "reserved";
    if (tracee_filters(pid) > tracee_filters(getpid()))
        return "it has a seccomp filter of its own, which may refuse the system calls that move it";
    for (enum image_part part = PART_KERNELS; part <= PART_LOADER; part++)
        if (image->parts[part].end != 0 && image->parts[part].start < bases->mmap_top)
            return "its mmap area lies lower than the kernel's default (setarch -L or -3)";
    if (image->parts[PART_LOADER].end > bases->reserve_end)
        return "its mmap area lies higher than its stack limit allows";
    if (sealed_is(pid, image))
        return "the kernel's own mappings are sealed (CONFIG_MSEAL_SYSTEM_MAPPINGS) and cannot be "
               "moved";
    return NULL;
}

static const char *does_not_fit(const struct image *image, const struct machine *machine) {
    uint64_t start = image->parts[PART_PROGRAM].start, end = image->parts[PART_PROGRAM].end;
    if (end - start > machine->program_bytes_max ||
        image->program_align > machine->program_align_max)
        return "its segments are too large, or their alignment leaves too few addresses";
    if (!image->is_movable && end > machine->linked_end)
        return "it is linked to addresses where the shared layout has its mappings";
    return NULL;
}

/* Returns NULL if the program can be moved to the bases without obstacles. */
static const char *examine(const struct move_request *request, const struct machine *machine,
                           struct injection *injection, struct image *image, struct bases *bases) {
    char path[32];
    struct identity identity;
    uint64_t stack_bytes;
    const char *failed = image_read(image, injection);
    if (failed != NULL)
        return failed;
    if (!find_instruction(injection, image))
        return "it has no system call instruction";
    snprintf(path, sizeof path, "/proc/%d/exe", request->pid);
    if ((image->is_privileged && !request->was_privileged) ||
        target_gains_privilege(path, request->pid))
        return privileged;
    if (identity_read(&identity, path) != 0)
        return "its file cannot be read";
    failed = does_not_fit(image, machine);
    if (failed != NULL)
        return failed;
    if (request->arranged != NULL) {
        *bases = bases_by_limit(machine, request->key, identity.bytes, identity.length);
        return not_as_arranged(request->pid, image, machine, bases->mmap_top);
    }
    if (!tracee_limit(request->pid, "Max stack size", &stack_bytes) ||
        !bases_can_reserve(machine, stack_bytes))
        return "its addresses leave too little room for a part to be reserved (ulimit -s, or "
               "a kernel with few bits of address)";
    *bases =
        bases_by_reservation(machine, request->key, identity.bytes, identity.length, stack_bytes);
    return not_reservable(request, image, bases);
}

static struct move_outcome leave(const struct move_request *request, struct injection *injection,
                                 const char *what) {
    struct move_outcome outcome = {
        .state = OUTCOME_LEFT, .what = what, .is_privileged = what == privileged};
    if (request->require && !outcome.is_privileged && injection->instruction != 0) {
        remote_call(injection, exit_group, EXIT_OWN_FAILURE);
        outcome.state = OUTCOME_ENDED;
    } else if (request->is_waiting_first && injection->instruction != 0) {
        const char *failed = reap_first(injection, getpid(), 0);
        outcome.what = failed == NULL ? what : failed;
    }
    if (injection_end(injection) != 0 && outcome.state == OUTCOME_LEFT)
        outcome.state = OUTCOME_HALF_MOVED;
    return outcome;
}

struct move_outcome decide_and_move(const struct move_request *request) {
    /* Static, because its 12 KiB may be more than a hard limit leaves of the stack (ulimit -Hs). */
    static struct image image;
    struct injection injection;
    struct bases bases;
    char exe[32];
    snprintf(exe, sizeof exe, "/proc/%d/exe", request->pid);
    int error = injection_begin(&injection, request->pid);
    if (error != 0)
        return (struct move_outcome){
            .state = OUTCOME_LEFT, .what = "its memory cannot be read", .result = error};
    const struct machine *machine = injection.is_i386 ? request->narrow : request->machine;
    const char *failed = examine(request, machine, &injection, &image, &bases);
    if (failed != NULL)
        return leave(request, &injection, failed);
    const struct destination destination = destination_of(&image, machine, &bases);
    if (!room_is_free(&image, destination.deltas))
        return leave(request, &injection, "a part of it would be moved to where another is");
    failed = move_parts(&injection, machine, &image, &destination, &bases, request->arranged);
    if (failed == NULL)
        failed = check_moved(&injection, machine, &bases, &destination, request->arranged);
    if (failed == NULL && request->shares_go_random && go_is_static(exe))
        failed = go_share_random(&injection, request->key);
    if (failed == NULL && request->is_waiting_first)
        failed = reap_first(&injection, getpid(), bases.mmap_top + REAP_GAP);
    if (injection_end(&injection) != 0 && failed == NULL)
        failed = "letting it go";
    return (struct move_outcome){.state = failed == NULL ? OUTCOME_MOVED : OUTCOME_HALF_MOVED,
                                 .what = failed,
                                 .result = injection.result};
}
