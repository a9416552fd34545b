/* behave WHAT [WORD]...: does what programs do, and prints the results, the same in each run. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <execinfo.h>
#include <link.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

extern char **environ;
enum { THREADS = 200, FRAME_BYTES = 4096 };
static sigjmp_buf back;
static char *fault;
static pthread_barrier_t barrier;

static void check(int is_good, const char *what) {
    if (!is_good) {
        printf("%s: %m\n", what);
        exit(1);
    }
}

static int descend(long frames) {
    volatile char frame[FRAME_BYTES];
    frame[0] = (char)frames;
    return frames > 0 ? descend(frames - 1) + frame[0] : 0;
}

/* Stack of the calling thread, as libc knows it; the main thread's from /proc/self/maps. */
static size_t stack_bytes(const void *local) {
    pthread_attr_t attributes;
    void *lowest;
    size_t bytes;
    check(pthread_getattr_np(pthread_self(), &attributes) == 0, "pthread_getattr_np");
    check(pthread_attr_getstack(&attributes, &lowest, &bytes) == 0, "pthread_attr_getstack");
    pthread_attr_destroy(&attributes);
    uintptr_t at = (uintptr_t)local, low = (uintptr_t)lowest;
    check(at > low && at < low + bytes, "the stack is not where libc takes it to be");
    return bytes;
}

static void *thread(void *argument) {
    int local = 0;
    size_t bytes = stack_bytes(&local);
    descend((long)(bytes / 16 / FRAME_BYTES));
    pthread_barrier_wait(&barrier);
    *(size_t *)argument = bytes;
    return NULL;
}

/* All at the same time, each with a stack of the default size, some of which it uses. */
static void threads(void) {
    pthread_t started[THREADS];
    size_t bytes[THREADS];
    int local = 0, equal = 0;
    pthread_barrier_init(&barrier, NULL, THREADS);
    for (int i = 0; i < THREADS; i++)
        check(pthread_create(&started[i], NULL, thread, &bytes[i]) == 0, "pthread_create");
    for (int i = 0; i < THREADS; i++) {
        pthread_join(started[i], NULL);
        equal += bytes[i] == bytes[0];
    }
    /* The main thread's is the limit minus some pages. */
    printf("%d threads with %zu bytes, %zu MiB for the first\n", equal, bytes[0],
           (stack_bytes(&local) + (1 << 20) - 1) >> 20);
}

static int print_name(struct dl_phdr_info *info, size_t size, void *data) {
    (void)size;
    (void)data;
    const char *slash = strrchr(info->dlpi_name, '/');
    printf("%s %d headers\n", slash == NULL ? "the program" : slash + 1, (int)info->dlpi_phnum);
    return 0;
}

/* The vDSO is among the loaded objects. */
static void libraries(void) {
    void *library = dlopen("libm.so.6", RTLD_NOW);
    check(library != NULL, "dlopen");
    double (*cosine)(double) = (double (*)(double))dlsym(library, "cos");
    check(cosine != NULL, "dlsym");
    Dl_info info;
    check(dladdr((void *)cosine, &info) != 0, "dladdr");
    printf("cos(0) = %g in %s\n", cosine(0), strrchr(info.dli_fname, '/') + 1);
    check(dladdr((void *)check, &info) != 0 && info.dli_fbase != NULL, "dladdr of the program");
    dl_iterate_phdr(print_name, NULL);
    check(dlclose(library) == 0, "dlclose");
}

static int wait_for(pid_t child) {
    int status = 0;
    check(child > 0 && waitpid(child, &status, 0) == child, "waitpid");
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void children(void) {
    pid_t child = fork();
    if (child == 0)
        _exit(descend(1000) == 0 ? 2 : 3);
    printf("fork %d\n", wait_for(child));
    child = vfork();
    if (child == 0)
        execl("/bin/sh", "sh", "-c", "exit 4", (char *)NULL);
    printf("vfork %d\n", wait_for(child));
    char *words[] = {"sh", "-c", "exit 5", NULL};
    check(posix_spawn(&child, "/bin/sh", NULL, NULL, words, environ) == 0, "posix_spawn");
    printf("posix_spawn %d\n", wait_for(child));
    printf("system %d\n", WEXITSTATUS(system("exit 6")));
    child = fork();
    if (child == 0)
        abort();
    printf("abort %d\n", wait_for(child));
}

static void on_signal(int number, siginfo_t *info, void *context) {
    void *frames[64];
    (void)context;
    fault = (char *)info->si_addr;
    /* Through the frame that the kernel made for the signal. */
    int count = backtrace(frames, 64);
    if (number == SIGSEGV)
        siglongjmp(back, 1);
    printf("signal %d, %s frames\n", number, count >= 4 ? "enough" : "few");
}

/* Handlers on separate stacks; one stack overflow is handled there. */
static void signals(void) {
    struct rlimit limit;
    stack_t other = {.ss_size = 1 << 16, .ss_sp = malloc(1 << 16)};
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    check(sigaltstack(&other, NULL) == 0, "sigaltstack");
    check(sigaction(SIGSEGV, &action, NULL) == 0 && sigaction(SIGUSR1, &action, NULL) == 0,
          "sigaction");
    raise(SIGUSR1);
    check(getrlimit(RLIMIT_STACK, &limit) == 0, "getrlimit");
    if (sigsetjmp(back, 1) == 0)
        descend((long)(limit.rlim_cur * 2 / FRAME_BYTES));
    else
        printf("SIGSEGV where the stack ended, %s\n",
               (char *)&limit - fault > (long)limit.rlim_cur / 100 * 98 ? "all of it used"
                                                                        : "early");
}

static void memory(void) {
    char *before = sbrk(0);
    check(sbrk(64 << 20) == before, "sbrk");
    memset(before, 1, 64 << 20);
    check(sbrk(-(64 << 20)) != (void *)-1 && sbrk(0) == before, "sbrk back");
    size_t bytes = 8 << 20;
    char *area = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    check(area != MAP_FAILED && madvise(area, bytes, MADV_HUGEPAGE) == 0, "madvise");
    memset(area, 2, bytes);
    area = mremap(area, bytes, 2 * bytes, MREMAP_MAYMOVE);
    check(area != MAP_FAILED && area[bytes - 1] == 2 && area[bytes] == 0, "mremap");
    check(munmap(area, 2 * bytes) == 0, "munmap");
    for (int i = 0; i < 10000; i++)
        free(realloc(malloc((size_t)i), (size_t)i * 2 + 1));
    puts("brk, mmap and malloc");
}

static void lock(void) {
    check(mlockall(MCL_CURRENT | MCL_FUTURE) == 0, "mlockall");
    descend(500);
    memory();
    check(munlockall() == 0, "munlockall");
}

/* Where the system call would end the process. */
static void vdso(void) {
    struct timespec now;
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clock_gettime, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    check(prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L) == 0, "no_new_privs");
    check(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0L, 0L) == 0, "seccomp");
    check(clock_gettime(CLOCK_MONOTONIC, &now) == 0 && now.tv_sec > 0, "clock_gettime");
    puts("time without a system call");
}

static void show_title(void) {
    char command[64];
    snprintf(command, sizeof command, "ps -o args= -p %d", getpid());
    fflush(stdout);
    check(system(command) == 0, "ps");
}

/* As servers do: over arguments and environment (setproctitle). */
static void title(char **argv) {
    char *end = argv[0];
    for (char **word = argv; *word != NULL; word++)
        end = *word + strlen(*word) + 1;
    for (char **word = environ; *word != NULL; word++)
        end = *word == end ? end + strlen(end) + 1 : end;
    size_t bytes = (size_t)(end - argv[0]);
    memset(argv[0], 0, bytes);
    snprintf(argv[0], bytes, "worker: a title longer than what was there before it came");
    show_title();
}

static ucontext_t first, second;

static void other_context(void) {
    puts("in a context of its own");
}

static void contexts(void) {
    static char stack[1 << 16];
    check(getcontext(&second) == 0, "getcontext");
    second.uc_stack = (stack_t){.ss_sp = stack, .ss_size = sizeof stack};
    second.uc_link = &first;
    makecontext(&second, other_context, 0);
    check(swapcontext(&first, &second) == 0, "swapcontext");
    printf("back, as %s on %s\n", (char *)getauxval(AT_EXECFN), (char *)getauxval(AT_PLATFORM));
}

int main(int argc, char **argv) {
    const struct {
        const char *name;
        void (*run)(void);
    } deeds[] = {{"threads", threads},   {"libraries", libraries},
                 {"children", children}, {"signals", signals},
                 {"memory", memory},     {"lock", lock},
                 {"contexts", contexts}, {"vdso", vdso}};
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc > 2 && strcmp(argv[1], "exec") == 0)
        execv(argv[2], argv + 2);
    if (argc > 1 && strcmp(argv[1], "again") == 0)
        execl("/proc/self/exe", argv[0], "children", (char *)NULL);
    if (argc > 1 && strcmp(argv[1], "title") == 0)
        return title(argv), 0;
    for (size_t i = 0; argc > 1 && i < sizeof deeds / sizeof *deeds; i++)
        if (strcmp(argv[1], deeds[i].name) == 0)
            return deeds[i].run(), 0;
    return 2;
}
