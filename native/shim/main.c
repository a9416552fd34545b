/* libksmrun-preload.so: makes a program's memory merge from inside, where the launcher's flag does
 * not reach it.
 *
 * From 6.4 to 6.6 (d7597f59d1d3) an exec loses the flag. From 6.7 to 6.8.11 and 6.9.2
 * (3c6f33b7273a, fixed by 3a9e567ca45f) it is kept, but the new memory is not registered with
 * ksmd: clearing and setting it again does that. A thread (sweeper.c) marks memory where there
 * is no such flag, and joins VMAs where the flag keeps them apart. ld.so runs this constructor
 * before the program's own code. It needs no libc, preserves errno, leaves no descriptor and
 * prints nothing. */
#include <stdbool.h>
#include <stddef.h>

#include "forward.h"
#include "interpose.h"
#include "linux.h"
#include "roots.h"
#include "secrets.h"
#include "seeding.h"
#include "settings.h"
#include "sweeper.h"
#include "syscalls.h"

/* uname(2): six fields of 65 bytes; the third is the release. */
enum { UTS_FIELD_BYTES = 65, UTS_FIELDS = 6, UTS_RELEASE = 2 };
/* getauxval(3) */
enum { AT_PAGESZ = 6, PAGE_BYTES = 4096 };

extern char **environ __attribute__((weak));
extern unsigned long getauxval(unsigned long) __attribute__((weak));

static int number_at(const char **text) {
    int number = 0;
    while (**text >= '0' && **text <= '9' && number < 1000000)
        number = number * 10 + (*(*text)++ - '0');
    if (**text == '.')
        (*text)++;
    return number;
}

/* Only a running ksmd could show this (see ../common/merge.h), so the version is used. */
static bool may_be_unregistered(void) {
    char names[UTS_FIELDS * UTS_FIELD_BYTES];
    if (SYSTEM_CALL(NUMBER_UNAME, (long)names) != 0)
        return false;
    const char *release = names + UTS_RELEASE * UTS_FIELD_BYTES;
    int major = number_at(&release);
    int minor = number_at(&release);
    return major == 6 && minor >= 7 && minor <= 9;
}

static long get_flag(void) {
    return SYSTEM_CALL(NUMBER_PRCTL, PR_GET_MEMORY_MERGE);
}

static void set_flag(void) {
    long flag = get_flag();
    if (flag == 1 && may_be_unregistered()) {
        SYSTEM_CALL(NUMBER_PRCTL, PR_SET_MEMORY_MERGE, 0);
        flag = 0;
    }
    if (flag == 0)
        SYSTEM_CALL(NUMBER_PRCTL, PR_SET_MEMORY_MERGE, 1);
}

static void begin_sweeping(const struct settings *settings) {
    struct thread_options options = {
        .work = settings->mark ? SWEEP_MARK : SWEEP_JOIN,
        .page_bytes = getauxval != NULL ? getauxval(AT_PAGESZ) : PAGE_BYTES,
        .mark_min_bytes = settings->mark_min_bytes,
        .map_reserve_percent = settings->map_reserve_percent,
    };
    sweeper_begin(&options);
    interpose_begin();
}

/* glibc passes a constructor what main gets, and may set environ later; musl only does the
 * latter. */
__attribute__((constructor)) static void begin(int argc, char **argv, char **envp) {
    (void)argc;
    (void)argv;
    char **environment = &environ != NULL && environ != NULL ? environ : envp;
    struct settings settings = settings_read(environment);
    if (!settings.inherit)
        settings_forget_shim(environment);
    forward_begin();
    roots_begin();
    seeding_begin(&settings, environment);
    if (!secrets_begin(&settings))
        return;
    if (!settings.mark && !settings.keep_flag)
        set_flag();
    secrets_begun();
    if ((settings.mark && get_flag() != 1) || (settings.join && get_flag() == 1))
        begin_sweeping(&settings);
}
