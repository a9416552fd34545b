#include "merge.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "procfile.h"

/* include/uapi/linux/prctl.h since 6.4 (d7597f59d1d3); python-prctl 1.8.1 and older headers lack
 * both. All five arguments count: the kernel returns EINVAL unless the unused ones are 0. */
#ifndef PR_SET_MEMORY_MERGE
#define PR_SET_MEMORY_MERGE 67
#define PR_GET_MEMORY_MERGE 68
#endif

int merge_get(void) {
    int flag = prctl(PR_GET_MEMORY_MERGE, 0L, 0L, 0L, 0L);
    return flag < 0 ? -errno : flag;
}

/* madvise(2): MADV_MERGEABLE fails with EINVAL only if the kernel was built without CONFIG_KSM. */
static bool has_ksm(void) {
    size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    void *page = mmap(NULL, page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return true;
    bool has = madvise(page, page_bytes, MADV_MERGEABLE) == 0 || errno != EINVAL;
    munmap(page, page_bytes);
    return has;
}

bool merge_is_filtered(void) {
    char mode[16];
    if (!procfile_row("/proc/self/status", "Seccomp", mode, sizeof mode))
        return prctl(PR_GET_SECCOMP, 0L, 0L, 0L, 0L) == 2;
    return strtol(mode, NULL, 10) == 2;
}

/* ksm_process_profit came with the prctl: both are from 6.4 (d7597f59d1d3, d21077fbc2fc). */
static bool kernel_has_prctl(void) {
    if (merge_get() >= 0)
        return true;
    char ksm_stat[1024];
    return procfile_read("/proc/self/ksm_stat", ksm_stat, sizeof ksm_stat) >= 0 &&
           strstr(ksm_stat, "ksm_process_profit") != NULL;
}

static enum merge_obstacle diagnose(int error) {
    if (error == ENOMEM)
        return OBSTACLE_NO_MEMORY;
    /* 0: success claimed but false. The kernel's own errors are EINVAL, ENOMEM and EINTR. */
    if (error != EINVAL && error != EINTR)
        return merge_is_filtered() ? OBSTACLE_SECCOMP : OBSTACLE_NOT_PASSED_ON;
    if (error == EINTR)
        return OBSTACLE_UNKNOWN;
    if (kernel_has_prctl())
        return merge_is_filtered() ? OBSTACLE_SECCOMP : OBSTACLE_NOT_PASSED_ON;
    return has_ksm() ? OBSTACLE_KERNEL_TOO_OLD : OBSTACLE_NO_KSM;
}

enum merge_obstacle merge_set(bool on, int *error) {
    *error = 0;
    /* A flag that cannot be read is not set, which is what clearing asks for. */
    if (!on && merge_get() <= 0)
        return OBSTACLE_NONE;
    int result;
    do {
        result = prctl(PR_SET_MEMORY_MERGE, on ? 1L : 0L, 0L, 0L, 0L);
    } while (result < 0 && errno == EINTR);
    if (result == 0 && merge_get() == (on ? 1 : 0))
        return OBSTACLE_NONE;
    *error = result < 0 ? errno : 0;
    return diagnose(*error);
}

const char *obstacle_name(enum merge_obstacle obstacle) {
    static const char *const names[] = {
        [OBSTACLE_NONE] = "none",
        [OBSTACLE_KERNEL_TOO_OLD] = "kernel-too-old",
        [OBSTACLE_NO_KSM] = "no-config-ksm",
        [OBSTACLE_SECCOMP] = "seccomp",
        [OBSTACLE_NOT_PASSED_ON] = "not-passed-on",
        [OBSTACLE_NO_MEMORY] = "no-memory",
        [OBSTACLE_UNKNOWN] = "unknown",
    };
    return names[obstacle];
}

const char *obstacle_what(enum merge_obstacle obstacle) {
    static const char *const texts[] = {
        [OBSTACLE_NONE] = "nothing stands in the way",
        [OBSTACLE_KERNEL_TOO_OLD] =
            "this kernel has no PR_SET_MEMORY_MERGE, which came with Linux 6.4",
        [OBSTACLE_NO_KSM] = "this kernel was built without CONFIG_KSM",
        [OBSTACLE_SECCOMP] = "a seccomp filter refuses prctl(PR_SET_MEMORY_MERGE)",
        [OBSTACLE_NOT_PASSED_ON] = ("a layer between the program and the kernel (an emulator or a "
                                    "sandbox) does not pass prctl(PR_SET_MEMORY_MERGE) on"),
        [OBSTACLE_NO_MEMORY] = "the kernel has no memory left to set the flag",
        [OBSTACLE_UNKNOWN] = "prctl(PR_SET_MEMORY_MERGE) failed",
    };
    return texts[obstacle];
}

const char *obstacle_todo(enum merge_obstacle obstacle) {
    static const char *const texts[] = {
        [OBSTACLE_NONE] = "nothing to do",
        [OBSTACLE_KERNEL_TOO_OLD] = "boot Linux 6.12 or later",
        [OBSTACLE_NO_KSM] =
            "boot a kernel built with CONFIG_KSM=y (those of the large distributions are)",
        [OBSTACLE_SECCOMP] =
            "allow prctl 67 and 68 in the seccomp profile of the container or service",
        [OBSTACLE_NOT_PASSED_ON] = "start the program without that layer",
        [OBSTACLE_NO_MEMORY] = "free memory, then start it again",
        [OBSTACLE_UNKNOWN] = "run `ksmrun-exec --probe` and read prctl_error",
    };
    return texts[obstacle];
}

/* The first three numbers of a release, 0 if there are fewer. */
static void release_numbers(const char *release, long numbers[3]) {
    char *end;
    numbers[0] = numbers[1] = numbers[2] = 0;
    for (int i = 0; i < 3; i++) {
        numbers[i] = strtol(release, &end, 10);
        if (end == release || *end != '.')
            break;
        release = end + 1;
    }
}

bool release_may_lose_at_exec(const char *release) {
    long numbers[3];
    release_numbers(release, numbers);
    return numbers[0] == 6 && numbers[1] >= 4 && numbers[1] <= 6;
}

bool release_never_scans(const char *release) {
    long numbers[3];
    release_numbers(release, numbers);
    long minor = numbers[1], patch = numbers[2];
    return numbers[0] == 6 &&
           (minor == 7 || (minor == 8 && patch < 12) || (minor == 9 && patch < 3));
}
