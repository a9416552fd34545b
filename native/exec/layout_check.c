#include "layout_check.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/message.h"
#include "../layout/key.h"
#include "../layout/machine.h"
#include "../layout/membership.h"
#include "../layout/reason.h"

static pid_t pid_of(const char *word) {
    char *end;
    errno = 0;
    long number = isdigit((unsigned char)*word) ? strtol(word, &end, 10) : 0;
    return number > 0 && errno == 0 && *end == '\0' && number <= INT_MAX ? (pid_t)number : 0;
}

bool layout_check(const char *key_file, const char *group, char **words) {
    static const char *const answers[] = {
        [MEMBER] = "yes", [NO_MEMBER] = "no", [MEMBER_UNKNOWN] = "unknown"};
    unsigned char key[KEY_BYTES];
    char reason[REASON_BYTES];
    if (key_read(key_file, group, key, reason) != 0) {
        message("%s", reason);
        return false;
    }
    const struct machine machine = machine_here();
    struct last_program last = {.is_known = false};
    const char *wrong = NULL;
    for (char **word = words; wrong == NULL && *word != NULL; word++) {
        pid_t pid = pid_of(*word);
        if (pid == 0)
            wrong = *word;
        else
            printf("%d %s\n", pid, answers[membership_of(pid, &machine, key, &last)]);
    }
    explicit_bzero(key, sizeof key);
    if (wrong != NULL)
        message("'%.100s' is no PID; give --layout-check numbers, as in --layout-check 1234",
                wrong);
    return wrong == NULL;
}
