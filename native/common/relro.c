/* Write-protects relocated data (RELRO) before main. glibc does so itself even in a static program,
 * musl only in its dynamic linker (ldso/dynlink.c: reloc_all()). */
#include <link.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden")));

__attribute__((constructor)) static void protect_relocated(void) {
    const uintptr_t base = (uintptr_t)&__ehdr_start, page_bytes = (uintptr_t)getpagesize();
    const ElfW(Phdr) *headers = (const ElfW(Phdr) *)(base + __ehdr_start.e_phoff);
    for (int i = 0; i < __ehdr_start.e_phnum; i++) {
        if (headers[i].p_type != PT_GNU_RELRO)
            continue;
        uintptr_t start = (base + headers[i].p_vaddr) & -page_bytes;
        uintptr_t end = (base + headers[i].p_vaddr + headers[i].p_memsz) & -page_bytes;
        /* If a seccomp filter forbids it, the program runs without. */
        if (start < end && mprotect((void *)start, end - start, PROT_READ) != 0)
            return;
    }
}
