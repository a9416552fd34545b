#include "request.h"

#include <stdio.h>
#include <string.h>

static const char annotation_prefix[] = "ksmrun.";
static const char variable[] = "KSMRUN_OCI=";

struct word {
    const char *key, *value;
    int key_length, value_length;
};

static bool is(const char *text, int length, const char *expected) {
    return strlen(expected) == (size_t)length && memcmp(text, expected, (size_t)length) == 0;
}

static bool set_switch(const struct word *word, const char *on, const char *off, bool *target) {
    bool is_on = is(word->value, word->value_length, on);
    if (is_on || is(word->value, word->value_length, off))
        *target = is_on;
    return is_on || is(word->value, word->value_length, off);
}

/* As `ksmrun layout key` has it (ksmrun/host/keys.py). */
static bool set_group(const struct word *word, char group[GROUP_BYTES]) {
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    if (word->value_length < 1 || word->value_length >= GROUP_BYTES ||
        strspn(word->value, letters) < (size_t)word->value_length)
        return false;
    snprintf(group, GROUP_BYTES, "%.*s", word->value_length, word->value);
    return true;
}

static bool set_mechanism(const struct word *word, enum mechanism *mechanism) {
    static const char *const names[] = {"auto", "prctl", "preload"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (is(word->value, word->value_length, names[i])) {
            *mechanism = (enum mechanism)i;
            return true;
        }
    return false;
}

static void set(const struct word *word, struct request *request, bool *is_merge_said) {
    bool is_known = false;
    if (is(word->key, word->key_length, "merge")) {
        is_known = set_switch(word, "on", "off", &request->merge);
        *is_merge_said = *is_merge_said || is_known;
    } else if (is(word->key, word->key_length, "layout")) {
        is_known = set_switch(word, "shared", "random", &request->layout_shared);
    } else if (is(word->key, word->key_length, "layout-group")) {
        is_known = set_group(word, request->group);
    } else if (is(word->key, word->key_length, "mechanism")) {
        is_known = set_mechanism(word, &request->mechanism);
    } else if (is(word->key, word->key_length, "require")) {
        is_known = set_switch(word, "true", "false", &request->require);
    }
    if (!is_known && request->wrong[0] == '\0')
        snprintf(request->wrong, sizeof request->wrong, "%.*s=%.*s", word->key_length, word->key,
                 word->value_length, word->value);
}

/* "merge=on,layout=shared" */
static void read_variable(const char *text, struct request *request, bool *is_merge_said) {
    while (*text != '\0') {
        int length = (int)strcspn(text, ",");
        int key_length = (int)strcspn(text, ",=");
        int value = key_length < length ? key_length + 1 : length;
        const struct word word = {text, text + value, key_length, length - value};
        if (length > 0)
            set(&word, request, is_merge_said);
        text += text[length] == ',' ? length + 1 : length;
    }
}

static void read_env(yyjson_mut_val *env, struct request *request, bool *is_merge_said) {
    size_t index, count;
    yyjson_mut_val *entry;
    const char *last = NULL;
    /* Of several the last counts, as the kernel's list becomes a program's. */
    yyjson_mut_arr_foreach(env, index, count, entry) {
        const char *text = yyjson_mut_get_str(entry);
        if (text != NULL && strncmp(text, variable, sizeof variable - 1) == 0)
            last = text + sizeof variable - 1;
    }
    if (last != NULL)
        read_variable(last, request, is_merge_said);
}

static void read_annotations(yyjson_mut_val *annotations, struct request *request,
                             bool *is_merge_said) {
    size_t index, count;
    yyjson_mut_val *key, *value;
    yyjson_mut_obj_foreach(annotations, index, count, key, value) {
        const char *name = yyjson_mut_get_str(key), *text = yyjson_mut_get_str(value);
        if (text == NULL || strncmp(name, annotation_prefix, sizeof annotation_prefix - 1) != 0)
            continue;
        name += sizeof annotation_prefix - 1;
        const struct word word = {name, text, (int)strlen(name), (int)strlen(text)};
        set(&word, request, is_merge_said);
    }
}

void request_read(bool by_request, yyjson_mut_val *annotations, yyjson_mut_val *env,
                  struct request *request) {
    bool is_merge_said = false;
    *request = (struct request){.merge = false, .group = "default"};
    read_env(env, request, &is_merge_said);
    /* The operator's, so they come after what may be the image's. */
    read_annotations(annotations, request, &is_merge_said);
    if (!is_merge_said)
        request->merge = !by_request || request->layout_shared || request->require;
}
