#include "lines.h"

#include <string.h>

bool line_next(FILE *file, char *line, int size) {
    if (fgets(line, size, file) == NULL)
        return false;
    char *end = strchr(line, '\n');
    if (end != NULL) {
        *end = '\0';
        return true;
    }
    for (int byte = 0; byte != '\n' && byte != EOF;)
        byte = getc(file);
    return true;
}
