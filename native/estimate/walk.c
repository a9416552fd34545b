#include "walk.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "reader.h"

/* Documentation/admin-guide/mm/pagemap.rst */
#define ENTRY_PRESENT (UINT64_C(1) << 63)
#define ENTRY_SWAPPED (UINT64_C(1) << 62)
#define ENTRY_FILE (UINT64_C(1) << 61) /* or shared memory */
#define ENTRY_EXCLUSIVE (UINT64_C(1) << 56)
#define ENTRY_FRAME ((UINT64_C(1) << 55) - 1)

/* Linux 6.7: include/uapi/linux/fs.h, which Debian 12's headers lack. */
struct region {
    uint64_t start, end, categories;
};
struct scan {
    uint64_t size, flags, start, end, walk_end, regions, region_count, page_count_max;
    uint64_t category_inverted, category_mask, category_any, return_mask;
};
#define PAGEMAP_SCAN _IOWR('f', 16, struct scan)
#define CATEGORY_PRESENT (UINT64_C(1) << 3)
#define CATEGORY_SWAPPED (UINT64_C(1) << 4)
#define CATEGORY_ZERO (UINT64_C(1) << 5)
/* A call that scans more could take longer than the limit for a sign of life. */
#define SCAN_BYTES_MAX (UINT64_C(1) << 36)

/* Without PAGEMAP_SCAN, an inaccessible mapping of this size is taken for a reservation: finding
 * out that it is empty takes a second for 0.7 TiB, and layouts and sanitizers reserve 20. */
#define RESERVATION_BYTES (UINT64_C(1) << 30)

enum { ENTRIES = 512, RUN_BYTES = 1 << 18, REGIONS = 256 };

struct reader {
    int pagemap, memory;
    uint64_t zero_frame;
    uint64_t pages_max; /* limit on reads: endless zero pages do not count as resident anywhere */
    unsigned char *bytes;
    visit_page *visit;
    void *state;
    struct walked *walked;
};

uint64_t page_bytes(void) {
    return (uint64_t)sysconf(_SC_PAGESIZE);
}

static bool is_wanted(const struct reader *reader, uint64_t entry) {
    return (entry & (ENTRY_PRESENT | ENTRY_FILE)) == ENTRY_PRESENT &&
           (reader->zero_frame == 0 || (entry & ENTRY_FRAME) != reader->zero_frame);
}

/* Number of bytes that could be read. It ends early at pages that went away in between. */
static size_t read_run(struct reader *reader, uint64_t address, size_t bytes) {
    size_t used = 0;
    reader_tick();
    while (used < bytes) {
        ssize_t part =
            pread(reader->memory, reader->bytes + used, bytes - used, (off_t)(address + used));
        if (part < 0 && errno == EINTR)
            continue;
        if (part <= 0)
            break;
        used += (size_t)part;
    }
    return used;
}

static bool visit_run(struct reader *reader, const uint64_t *entries, uint64_t first, size_t pages,
                      enum kind kind) {
    uint64_t size = page_bytes();
    for (size_t done = 0; done < pages;) {
        size_t got = read_run(reader, (first + done) * size, (pages - done) * size) / size;
        reader->walked->read_pages += got;
        for (size_t i = 0; i < got; i++) {
            uint64_t entry = entries[done + i];
            struct page page = {first + done + i, entry & ENTRY_FRAME,
                                (entry & ENTRY_EXCLUSIVE) != 0, kind, reader->bytes + i * size};
            if (!reader->visit(reader->state, &page))
                return false;
        }
        done += got + 1; /* the one that could not be read is left out */
    }
    return true;
}

/* Walks up to ENTRIES pages from the first on. Returns 0 or -errno. */
static int walk_chunk(struct reader *reader, uint64_t first, size_t pages, enum kind kind) {
    uint64_t entries[ENTRIES];
    ssize_t bytes =
        pread(reader->pagemap, entries, pages * sizeof *entries, (off_t)(first * sizeof *entries));
    if (bytes < 0)
        return -errno;
    size_t run_max = RUN_BYTES / page_bytes();
    pages = (size_t)bytes / sizeof *entries;
    reader_tick();
    for (size_t i = 0; i < pages;) {
        size_t run = 0;
        while (i + run < pages && run < run_max && is_wanted(reader, entries[i + run]))
            run++;
        if (reader->walked->read_pages + run > reader->pages_max)
            return -EFBIG;
        if (run > 0 && !visit_run(reader, entries + i, first + i, run, kind))
            return -ECANCELED;
        if (run == 0) {
            uint64_t entry = entries[i++];
            reader->walked->swapped_pages += (entry & ENTRY_SWAPPED) != 0;
            reader->walked->untouched_pages +=
                (entry & (ENTRY_PRESENT | ENTRY_FILE)) == ENTRY_PRESENT;
        }
        i += run;
    }
    return 0;
}

static int walk_range(struct reader *reader, uint64_t start, uint64_t end, enum kind kind) {
    uint64_t last = end / page_bytes();
    for (uint64_t first = start / page_bytes(); first < last; first += ENTRIES) {
        size_t pages = last - first < ENTRIES ? (size_t)(last - first) : ENTRIES;
        int result = walk_chunk(reader, first, pages, kind);
        if (result < 0)
            return result;
    }
    return 0;
}

/* Walks only populated parts. Returns 0, -errno, or -ENOTTY before Linux 6.7, which cannot show
 * them. */
static int walk_populated(struct reader *reader, const struct mapping *vma) {
    struct region regions[REGIONS];
    for (uint64_t at = vma->start; at < vma->end;) {
        uint64_t end = vma->end - at < SCAN_BYTES_MAX ? vma->end : at + SCAN_BYTES_MAX;
        struct scan scan = {
            .size = sizeof scan,
            .start = at,
            .end = end,
            .regions = (uint64_t)(uintptr_t)regions,
            .region_count = REGIONS,
            .category_any = CATEGORY_PRESENT | CATEGORY_SWAPPED,
            .return_mask = CATEGORY_PRESENT | CATEGORY_ZERO,
        };
        /* The two libcs declare different types for the request. */
        long found = syscall(SYS_ioctl, reader->pagemap, PAGEMAP_SCAN, &scan);
        if (found < 0)
            return -errno;
        reader_tick();
        for (long i = 0; i < found; i++) {
            if ((regions[i].categories & CATEGORY_ZERO) != 0) {
                reader->walked->untouched_pages +=
                    (regions[i].end - regions[i].start) / page_bytes();
                continue;
            }
            int result = walk_range(reader, regions[i].start, regions[i].end, vma->kind);
            if (result < 0)
                return result;
        }
        if (scan.walk_end <= at)
            return 0;
        at = scan.walk_end;
    }
    return 0;
}

static int walk_vmas(struct reader *reader, const struct vmas *vmas) {
    for (size_t i = 0; i < vmas->count; i++) {
        const struct mapping *vma = &vmas->items[i];
        if (vma->kind >= KINDS)
            continue;
        int result = walk_populated(reader, vma);
        bool is_empty = vma->is_reserved && vma->end - vma->start >= RESERVATION_BYTES;
        if (result == -ENOTTY)
            result = is_empty ? 0 : walk_range(reader, vma->start, vma->end, vma->kind);
        if (result < 0)
            return result;
    }
    return 0;
}

uint64_t walk_resident_pages(int process) {
    char text[128], *end;
    int file = openat(process, "statm", O_RDONLY | O_CLOEXEC);
    ssize_t bytes = file < 0 ? -1 : read(file, text, sizeof text - 1);
    if (file >= 0)
        close(file);
    text[bytes < 0 ? 0 : bytes] = '\0';
    strtoull(text, &end, 10);
    return strtoull(end, NULL, 10);
}

int walk(int process, const struct vmas *vmas, uint64_t zero_frame, visit_page *visit, void *state,
         struct walked *walked) {
    /* It may grow meanwhile, and the kernel counts in batches (proc_pid_statm(5)). */
    enum { PAGES_MORE = 1 << 16 };
    struct reader reader = {
        .visit = visit,
        .state = state,
        .walked = walked,
        .zero_frame = zero_frame,
        .pages_max = 2 * walk_resident_pages(process) + PAGES_MORE,
    };
    reader.pagemap = openat(process, "pagemap", O_RDONLY | O_CLOEXEC);
    if (reader.pagemap < 0)
        return -errno;
    reader.memory = openat(process, "mem", O_RDONLY | O_CLOEXEC);
    int result = -errno;
    if (reader.memory >= 0) {
        reader.bytes = aligned_alloc(page_bytes(), RUN_BYTES);
        result = reader.bytes == NULL ? -ENOMEM : walk_vmas(&reader, vmas);
        free(reader.bytes);
        close(reader.memory);
    }
    close(reader.pagemap);
    return result;
}

uint64_t zero_frame(void) {
    uint64_t size = page_bytes(), entry = 0;
    volatile unsigned char *page = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return 0;
    int pagemap = page[0] == 0 ? open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC) : -1;
    if (pagemap >= 0) {
        off_t place = (off_t)((uintptr_t)page / size * sizeof entry);
        if (pread(pagemap, &entry, sizeof entry, place) != sizeof entry)
            entry = 0;
        close(pagemap);
    }
    munmap((void *)(uintptr_t)page, size);
    return entry & ENTRY_FRAME;
}
