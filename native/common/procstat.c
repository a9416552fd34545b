#include "procstat.h"

#include <ctype.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static const char *find(const char *text, enum procstat_field field) {
    const char *at = strrchr(text, ')');
    for (int before = STAT_STATE - 1; at != NULL && before < (int)field; before++) {
        at = strchr(at, ' ');
        at = at == NULL ? NULL : at + 1;
    }
    return at;
}

char procstat_state(const char *text) {
    const char *at = find(text, STAT_STATE);
    return at == NULL ? '\0' : *at;
}

uint64_t procstat_number(const char *text, enum procstat_field field) {
    const char *at = find(text, field);
    return at != NULL && isdigit((unsigned char)*at) ? strtoull(at, NULL, 10) : 0;
}
