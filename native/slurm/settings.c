#include "settings.h"

#include <stddef.h>
#include <string.h>

bool wish_parse(const char *text, enum wish *wish) {
    static const char *const names[] = {
        [WISH_OFF] = "off", [WISH_ON] = "on", [WISH_REQUIRE] = "require"};
    for (int i = WISH_OFF; text != NULL && i <= WISH_REQUIRE; i++)
        if (strcmp(text, names[i]) == 0) {
            *wish = (enum wish)i;
            return true;
        }
    return false;
}

/* Same rule as in `ksmrun layout key`; and no name leads out of the folder of keys. */
bool group_parse(const char *text, char group[GROUP_BYTES]) {
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t length = text == NULL ? 0 : strnlen(text, GROUP_BYTES);
    if (length == 0 || length == GROUP_BYTES || strspn(text, letters) < length)
        return false;
    memcpy(group, text, length + 1);
    return true;
}

bool preset_parse(const char *word, struct settings *settings) {
    static const char preset[] = "default=", libexec[] = "libexec=/";
    if (strncmp(word, preset, sizeof preset - 1) == 0)
        return wish_parse(word + sizeof preset - 1, &settings->preset);
    if (strncmp(word, libexec, sizeof libexec - 1) != 0)
        return false;
    settings->libexec = word + sizeof libexec - 2;
    return true;
}

enum wish settings_wish(const struct settings *settings) {
    if (settings->wish != WISH_NONE)
        return settings->wish;
    if (settings->preset == WISH_NONE || settings->preset == WISH_OFF)
        return settings->group[0] != '\0' ? WISH_ON : WISH_OFF;
    return settings->preset;
}
