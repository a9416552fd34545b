#include "probe.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "../common/message.h"
#include "../common/procfile.h"
#include "kernel_trial.h"

static const char *json_answer(enum answer answer) {
    static const char *const texts[] = {"null", "false", "true"};
    return texts[answer];
}

static const char *word(enum answer answer) {
    static const char *const texts[] = {"unknown", "no", "yes"};
    return texts[answer];
}

/* The names of kernel and machine come from the kernel, but a container's personality or a custom
 * build can put anything there. */
static void print_string(const char *text) {
    putchar('"');
    for (; *text != '\0'; text++) {
        unsigned char byte = (unsigned char)*text;
        putchar(byte < 0x20 || byte >= 0x7f || byte == '"' || byte == '\\' ? '?' : byte);
    }
    putchar('"');
}

/* Names in /proc/self/ksm_stat: "name value" or "name: value" per line. */
static void print_ksm_stat_fields(void) {
    char text[1024];
    if (procfile_read("/proc/self/ksm_stat", text, sizeof text) < 0)
        text[0] = '\0';
    const char *separator = "";
    putchar('[');
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        line[strcspn(line, ": ")] = '\0';
        printf("%s", separator);
        print_string(line);
        separator = ", ";
    }
    putchar(']');
}

static void print_count(int count) {
    if (count < 0)
        printf("null");
    else
        printf("%d", count);
}

static void print_error(int error) {
    if (error == 0)
        printf("null");
    else
        print_string(strerror(error));
}

int probe_print(void) {
    struct findings found = kernel_trial_all();
    struct utsname kernel;
    if (uname(&kernel) != 0)
        memset(&kernel, 0, sizeof kernel);
    bool supported = found.obstacle == OBSTACLE_NONE;
    /* No child could be started, or a filter killed it: nothing was tested. */
    bool unasked = found.obstacle == OBSTACLE_UNKNOWN && found.prctl_errno == 0;

    printf("{\"schema\": \"ksmrun-probe-1\", \"ksmrun\": \"" KSMRUN_VERSION "\", \"kernel\": ");
    print_string(kernel.release);
    printf(", \"machine\": ");
    print_string(kernel.machine);
    printf(",\n \"prctl_supported\": %s, \"prctl_obstacle\": ", unasked     ? "null"
                                                                : supported ? "true"
                                                                            : "false");
    if (supported || unasked) {
        printf("null");
    } else {
        print_string(obstacle_name(found.obstacle));
        printf(", \"prctl_obstacle_what\": ");
        print_string(obstacle_what(found.obstacle));
        printf(", \"prctl_obstacle_todo\": ");
        print_string(obstacle_todo(found.obstacle));
    }
    printf(", \"prctl_error\": ");
    print_error(found.prctl_errno);
    printf(",\n \"kept_over_fork\": %s, \"kept_over_exec\": %s, \"scanned_after_exec\": \"%s\"",
           json_answer(found.kept_over_fork), json_answer(found.kept_over_exec),
           word(found.scanned_after_exec));
    printf(", \"known_not_scanned\": ");
    if (release_never_scans(kernel.release))
        printf("\"6.7 to 6.8.11, 6.9.0 to 6.9.2\"");
    else
        printf("null");
    printf(",\n \"vma_steps\": %d, \"mmap_vmas\": ", VMA_STEPS);
    print_count(found.mmap_vmas);
    printf(", \"brk_vmas\": ");
    print_count(found.brk_vmas);
    printf(",\n \"ksm_stat_fields\": ");
    print_ksm_stat_fields();
    printf(",\n \"ptrace_allowed\": %s, \"ptrace_error\": ", json_answer(found.ptrace_allowed));
    print_error(found.ptrace_errno);
    printf(", \"set_mm_map_allowed\": %s, \"set_mm_map_error\": ",
           json_answer(found.mm_map_allowed));
    print_error(found.mm_map_errno);
    printf("}\n");
    if (fflush(stdout) != 0) {
        message("cannot write to stdout: %s; check what stdout is connected to, and its free space",
                strerror(errno));
        return 125;
    }
    return 0;
}
