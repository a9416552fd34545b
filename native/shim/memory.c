/* Functions that the compiler calls for large assignments, and that no libc provides here. */
#include <stddef.h>

void *memset(void *to, int byte, size_t count);
void *memcpy(void *restrict to, const void *restrict from, size_t count);

void *memset(void *to, int byte, size_t count) {
    for (char *at = to; count > 0; count--)
        *at++ = (char)byte;
    return to;
}

void *memcpy(void *restrict to, const void *restrict from, size_t count) {
    const char *source = from;
    for (char *at = to; count > 0; count--)
        *at++ = *source++;
    return to;
}
