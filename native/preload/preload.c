/* libksmrun-preload.so: sets the merge flag from inside a program, where the launcher's does not
 * reach it.
 *
 * From 6.4 to 6.6 (d7597f59d1d3) an exec loses the flag; from 6.7 to 6.8.11 and 6.9.2
 * (3c6f33b7273a, mended by 3a9e567ca45f) it is kept, but the new memory is not registered with
 * ksmd: clearing and setting it again does that. ld.so runs this constructor before the program's
 * own code. It needs no libc, keeps errno, opens nothing, prints nothing and starts no thread. */
#include "syscalls.h"

enum { SET_MEMORY_MERGE = 67, GET_MEMORY_MERGE = 68 };

/* uname(2): six fields of 65 bytes; the third is the release. */
enum { UTS_FIELD_BYTES = 65, UTS_FIELDS = 6, UTS_RELEASE = 2 };

static int number_at(const char **text) {
    int number = 0;
    while (**text >= '0' && **text <= '9' && number < 1000000)
        number = number * 10 + (*(*text)++ - '0');
    if (**text == '.')
        (*text)++;
    return number;
}

/* The one question that only ksmd at work could answer (see ../exec/merge.h), so the version has
 * to. */
static int may_be_unregistered(void) {
    char names[UTS_FIELDS * UTS_FIELD_BYTES];
    if (system_call(NUMBER_UNAME, (long)names, 0, 0, 0, 0) != 0)
        return 0;
    const char *release = names + UTS_RELEASE * UTS_FIELD_BYTES;
    int major = number_at(&release);
    int minor = number_at(&release);
    return major == 6 && minor >= 7 && minor <= 9;
}

static long merge_flag(long option, long value) {
    return system_call(NUMBER_PRCTL, option, value, 0, 0, 0);
}

__attribute__((constructor)) static void set_merge_flag(void) {
    long flag = merge_flag(GET_MEMORY_MERGE, 0);
    if (flag == 1 && may_be_unregistered()) {
        merge_flag(SET_MEMORY_MERGE, 0);
        flag = 0;
    }
    if (flag == 0)
        merge_flag(SET_MEMORY_MERGE, 1);
}
