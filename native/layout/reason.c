#include "reason.h"

#include <stdarg.h>
#include <stdio.h>

int refuse(char reason[REASON_BYTES], const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, REASON_BYTES, format, arguments);
    va_end(arguments);
    return -1;
}
