/* rewrites HOW: the code that a tracer would make a system call with is something else each moment.
 *   vdso:  its own vDSO loops instead         other: it makes another call
 *   fault: it is no instruction               file:  no vDSO, and a file of that name loops
 *   much:  no vDSO, and 16 TiB of code that is not there
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGES = 2, BYTES = PAGES * 4096 };
static const unsigned char loops[] = {0xeb, 0xfe};
/* mov $39 (getpid), %eax; syscall; jmp . */
static const unsigned char calls[] = {0xb8, 39, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xfe};
static const unsigned char faults[] = {0x0f, 0x0b};
static const unsigned char call[] = {0x0f, 0x05};

static unsigned char *code, original[BYTES];
static const unsigned char *instead = loops;
static size_t instead_bytes = sizeof loops;

static void rewrite(void) {
    for (size_t i = 0; i + instead_bytes <= BYTES; i++)
        if (memcmp(original + i, call, sizeof call) == 0)
            memcpy(code + i, instead, instead_bytes);
}

static int is_traced(void) {
    static int status = -1;
    char text[4096], path[64];
    if (status < 0) {
        snprintf(path, sizeof path, "/proc/self/task/%d/status", getpid());
        status = open(path, O_RDONLY);
    }
    ssize_t bytes = pread(status, text, sizeof text - 1, 0);
    text[bytes < 0 ? 0 : bytes] = '\0';
    const char *tracer = strstr(text, "TracerPid:");
    return tracer != NULL && atoi(tracer + strlen("TracerPid:")) != 0;
}

/* The code that the tracer finds stays. */
static void *change(void *nothing) {
    for (;;) {
        rewrite();
        while (is_traced())
            ;
        memcpy(code, original, BYTES);
    }
    return nothing;
}

static void use_file(void) {
    int file = memfd_create("[vdso]", 0);
    if (ftruncate(file, BYTES) != 0)
        exit(1);
    code = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    memset(code, 0x90, BYTES);
    memcpy(code, call, sizeof call);
    if (*(volatile char *)mmap(NULL, BYTES, PROT_READ | PROT_EXEC, MAP_SHARED, file, 0) != call[0])
        exit(1);
}

int main(int argc, char **argv) {
    const char *how = argc > 1 ? argv[1] : "";
    pthread_t changer;
    code = (unsigned char *)getauxval(AT_SYSINFO_EHDR);
    if (strcmp(how, "much") == 0) {
        munmap(code, BYTES);
        for (int i = 0; i < 16; i++)
            if (mmap((void *)(0x100000000000 + (i + 1L) * (1L << 40)), 1L << 40,
                     PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED,
                     -1, 0) == MAP_FAILED)
                return 1;
    } else {
        if (strcmp(how, "file") == 0) {
            munmap(code, BYTES);
            use_file();
        } else if (mprotect(code, BYTES, PROT_READ | PROT_WRITE | PROT_EXEC) != 0) {
            return 1;
        }
        if (strcmp(how, "other") == 0)
            instead = calls, instead_bytes = sizeof calls;
        if (strcmp(how, "fault") == 0)
            instead = faults, instead_bytes = sizeof faults;
        memcpy(original, code, BYTES);
        if (pthread_create(&changer, NULL, change, NULL) != 0)
            return 1;
    }
    puts("ready");
    fflush(stdout);
    /* Not a call of the vDSO's. */
    while (getchar() != EOF)
        ;
    puts("well");
    return 0;
}
