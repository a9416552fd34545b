#include "trust.h"

#include <string.h>

enum { BOOT_ID_BYTES = 40, FORMAT_BYTES = 16 };

const char trust_folder[] = "/run/ksmrun/trust";

bool trust_is_name(const char *name) {
    static const char letters[] = "-abcdefghijklmnopqrstuvwxyz0123456789";
    size_t length = strlen(name);
    return length > 0 && length < DOMAIN_BYTES && name[0] != '-' && strspn(name, letters) == length;
}

/* Copies the rest of the next line after its name, and moves on to the one after it. */
static bool take(const char **text, const char *name, char *value, size_t size) {
    size_t name_length = strlen(name), length = strcspn(*text, "\n");
    if ((*text)[length] != '\n' || length < name_length || length - name_length >= size ||
        strncmp(*text, name, name_length) != 0)
        return false;
    memcpy(value, *text + name_length, length - name_length);
    value[length - name_length] = '\0';
    *text += length + 1;
    return true;
}

static enum trust_state read_lines(const char *text, const char *boot, char holder[DOMAIN_BYTES]) {
    char format[FORMAT_BYTES], its_boot[BOOT_ID_BYTES];
    if (!take(&text, "ksmrun-trust ", format, sizeof format))
        return TRUST_DAMAGED;
    if (strcmp(format, "1") != 0)
        return TRUST_OTHER_FORMAT;
    if (!take(&text, "boot ", its_boot, sizeof its_boot) ||
        !take(&text, "domain ", holder, DOMAIN_BYTES) || *text != '\0')
        return TRUST_DAMAGED;
    if (strcmp(holder, "-") == 0)
        holder[0] = '\0';
    else if (!trust_is_name(holder))
        return TRUST_DAMAGED;
    return strcmp(its_boot, boot) == 0 ? TRUST_KNOWN : TRUST_OTHER_BOOT;
}

enum trust_state trust_parse(const char *text, size_t length, const char *boot,
                             char holder[DOMAIN_BYTES]) {
    holder[0] = '\0';
    /* Readers would disagree about the end of a text with a NUL. */
    enum trust_state state =
        strlen(text) == length ? read_lines(text, boot, holder) : TRUST_DAMAGED;
    if (state != TRUST_KNOWN)
        holder[0] = '\0';
    return state;
}
