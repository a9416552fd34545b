#include "settings.h"

static const char settings_name[] = "KSMRUN_SHIM=";
static const char preload_name[] = "LD_PRELOAD=";
static const char shim_name[] = "/libksmrun-preload.so";
enum { MARK_MIN_BYTES = 64 * 1024, MAP_RESERVE_PERCENT = 20, PERCENT_MAX = 99 };

/* Returns what follows the prefix; NULL if text does not begin with it. */
static char *after(char *text, const char *prefix) {
    while (*prefix != '\0')
        if (*text++ != *prefix++)
            return NULL;
    return text;
}

static size_t number(const char *text) {
    size_t value = 0;
    while (*text >= '0' && *text <= '9')
        value = value * 10 + (size_t)(*text++ - '0');
    return value;
}

static char *next_word(char *text) {
    while (*text != '\0' && *text != ',')
        text++;
    return *text == ',' ? text + 1 : text;
}

static int digit(char character) {
    if (character >= '0' && character <= '9')
        return character - '0';
    return character >= 'a' && character <= 'f' ? character - 'a' + 10 : -1;
}

/* Returns whether the text is exactly this many bytes in hexadecimal. */
static bool read_seed(unsigned char seed[SEED_BYTES], const char *text) {
    for (int i = 0; i < SEED_BYTES; i++, text += 2) {
        int high = digit(text[0]), low = high < 0 ? -1 : digit(text[1]);
        if (low < 0)
            return false;
        seed[i] = (unsigned char)(high << 4 | low);
    }
    return *text == '\0' || *text == ',';
}

static void read_word(struct settings *settings, char *word) {
    char *value;
    if (after(word, "mark"))
        settings->mark = true;
    else if (after(word, "join"))
        settings->join = true;
    else if (after(word, "once"))
        settings->inherit = false;
    else if (after(word, "keep"))
        settings->keep_flag = true;
    else if (after(word, "secrets"))
        settings->exclude_secrets = true;
    else if ((value = after(word, "seed=")))
        settings->has_seed = read_seed(settings->seed, value);
    else if ((value = after(word, "min=")))
        settings->mark_min_bytes = number(value);
    else if ((value = after(word, "reserve=")) && number(value) <= PERCENT_MAX)
        settings->map_reserve_percent = (unsigned)number(value);
}

static bool contains(const char *text, const char *part) {
    for (; *text != '\0'; text++)
        if (after((char *)text, part) != NULL)
            return true;
    return false;
}

/* valgrind preloads its own library, runs all threads as one of its own process, would not survive
 * a filter on any of them, and reports who reads a freed block. */
static bool is_under_valgrind(char *entry) {
    const char *list = after(entry, preload_name);
    return list != NULL && contains(list, "/vgpreload_core");
}

struct settings settings_read(char **environment) {
    struct settings settings = {
        .inherit = true,
        .mark_min_bytes = MARK_MIN_BYTES,
        .map_reserve_percent = MAP_RESERVE_PERCENT,
    };
    for (; environment != NULL && *environment != NULL; environment++) {
        char *word = after(*environment, settings_name);
        for (; word != NULL && *word != '\0'; word = next_word(word))
            read_word(&settings, word);
        settings.is_under_valgrind |= is_under_valgrind(*environment);
    }
    settings.mark = settings.mark && !settings.is_under_valgrind;
    settings.join = settings.join && !settings.is_under_valgrind;
    return settings;
}

static bool is_shim(const char *entry, const char *end) {
    const char *name = shim_name + sizeof shim_name - 1;
    while (name > shim_name)
        if (end == entry || *--end != *--name)
            return false;
    return true;
}

/* Moves the entries of LD_PRELOAD that are not the shim over it. Returns whether any is left. */
static bool keep_others(char *list) {
    char *to = list;
    for (char *entry = list; *entry != '\0';) {
        char *end = entry;
        while (*end != '\0' && *end != ':' && *end != ' ')
            end++;
        char *next = *end == '\0' ? end : end + 1;
        if (!is_shim(entry, end)) {
            if (to != list)
                *to++ = ':';
            while (entry < end)
                *to++ = *entry++;
        }
        entry = next;
    }
    *to = '\0';
    return to != list;
}

bool settings_is_preload(const char *entry) {
    return after((char *)entry, preload_name) != NULL;
}

void settings_forget_shim(char **environment) {
    char **to = environment;
    for (; environment != NULL && *environment != NULL; environment++) {
        char *list = after(*environment, preload_name);
        if (after(*environment, settings_name) || (list != NULL && !keep_others(list)))
            continue;
        *to++ = *environment;
    }
    if (to != NULL)
        *to = NULL;
}
