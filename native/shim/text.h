/* Text, without libc. */
#ifndef KSMRUN_TEXT_H
#define KSMRUN_TEXT_H

#include <stdbool.h>

static inline bool text_equal(const char *first, const char *second) {
    while (*first != '\0' && *first == *second) {
        first++;
        second++;
    }
    return *first == *second;
}

#endif
