/* libsodium (sodium_malloc), OpenSSL's secure heap and libgcrypt's secure memory, which GnuPG uses,
 * have in common that they lock what they map, or advise MADV_DONTDUMP, before a secret is in it.
 * Here these pages become unmergeable before that call: so none had a content of the program's that
 * ksmd could have compared. smaps shows such VMAs too ("lo", "dd"), but only afterwards, when ksmd
 * may have been there, and not where the lock failed, as it often does (RLIMIT_MEMLOCK).
 *
 * MADV_UNMERGEABLE lasts. ksmd passes over VMAs without VM_MERGEABLE, which is set for new mappings
 * alone; fork(2), mprotect(2) and mremap(2) copy a VMA's flags (mm/ksm.c: find_mergeable_vma(),
 * ksm_add_vma(); kernel/fork.c: dup_mmap()). Where the shim marks memory, it has to know the
 * ranges.
 *
 * Calls that do not go through libc's functions are not seen. */
#include "secrets.h"

#if __SIZEOF_POINTER__ == 8

#include <stdatomic.h>

#include "linux.h"
#include "object.h"
#include "sweeper.h"
#include "syscalls.h"

enum { ERROR_INTR = 4, ERROR_NOMEM = 12, ERROR_INVAL = 22 };
/* getauxval(3) */
enum { AT_PAGESZ = 6, PAGE_BYTES = 4096 };
/* Libraries whose constructors run before the shim's. */
enum { EARLY_MAX = 4 };

enum state { STATE_EARLY, STATE_WANTED, STATE_MARKING, STATE_OFF };

extern unsigned long getauxval(unsigned long) __attribute__((weak));

static struct {
    _Atomic int state;
    int early_count;
    struct range early[EARLY_MAX];
} secrets;

/* A signal interrupts it (mm/ksm.c: unmerge_ksm_pages()). ENOMEM: a part is not mapped, and the
 * rest is done; lack of memory is EAGAIN (mm/madvise.c). EINVAL: no CONFIG_KSM, or no such range.
 */
static bool unmerge(uintptr_t start, size_t bytes) {
    long result;
    do
        result = SYSTEM_CALL(NUMBER_MADVISE, (long)start, (long)bytes, MADV_UNMERGEABLE);
    while (result == -ERROR_INTR);
    return result == 0 || result == -ERROR_NOMEM || result == -ERROR_INVAL;
}

/* Holes do not matter, and no architecture has more than 57 bits of addresses. */
static const size_t all_bytes = (size_t)1 << 57;

static uintptr_t page_bytes(void) {
    return getauxval != NULL ? getauxval(AT_PAGESZ) : PAGE_BYTES;
}

static bool unmerge_all(void) {
    bool is_done = unmerge(0, all_bytes);
    SYSTEM_CALL(NUMBER_PRCTL, PR_SET_MEMORY_MERGE, 0);
    return is_done && SYSTEM_CALL(NUMBER_PRCTL, PR_GET_MEMORY_MERGE) != 1;
}

bool secrets_begin(const struct settings *settings) {
    bool is_known = secrets.early_count <= EARLY_MAX;
    if (!settings->exclude_secrets)
        atomic_store(&secrets.state, STATE_OFF);
    else
        atomic_store(&secrets.state, settings->mark ? STATE_MARKING : STATE_WANTED);
    return !settings->exclude_secrets || is_known;
}

void secrets_begun(void) {
    for (int i = 0; i < secrets.early_count && i < EARLY_MAX; i++)
        if (atomic_load(&secrets.state) != STATE_OFF)
            secrets_keep(secrets.early[i].start, secrets.early[i].end - secrets.early[i].start);
}

bool secrets_keep(uintptr_t start, size_t bytes) {
    int state = atomic_load(&secrets.state);
    if (state == STATE_OFF || start + bytes < start)
        return true;
    uintptr_t page = page_bytes();
    uintptr_t end = (start + bytes + page - 1) & -page;
    start &= -page;
    if (state == STATE_EARLY && secrets.early_count++ < EARLY_MAX)
        secrets.early[secrets.early_count - 1] = (struct range){start, end};
    if (state == STATE_MARKING)
        sweeper_exclude(start, end);
    return unmerge(start, end - start) || unmerge_all();
}

bool secrets_keep_all(void) {
    int state = atomic_load(&secrets.state);
    if (state == STATE_OFF)
        return true;
    if (state == STATE_EARLY)
        secrets.early_count = EARLY_MAX + 1;
    if (state == STATE_MARKING)
        /* A start of 0 would be an entry that is not complete, which a forked child removes
         * (excluded_mend()); nothing is mapped there. */
        sweeper_exclude(page_bytes(), all_bytes);
    return unmerge_all();
}

#else

#include "linux.h"
#include "syscalls.h"

/* There a program can lock memory by mmap(2), which the shim leaves alone (interpose.c). The flag
 * may have been inherited, from a 64-bit program. */
bool secrets_begin(const struct settings *settings) {
    if (settings->exclude_secrets)
        SYSTEM_CALL(NUMBER_PRCTL, PR_SET_MEMORY_MERGE, 0);
    return !settings->exclude_secrets;
}

void secrets_begun(void) {
}

bool secrets_keep(uintptr_t start, size_t bytes) {
    (void)start;
    (void)bytes;
    return true;
}

bool secrets_keep_all(void) {
    return true;
}

#endif
