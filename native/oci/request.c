#include "request.h"

#include <stdio.h>
#include <string.h>

static const char annotation_prefix[] = "ksmrun.";
static const char variable[] = "KSMRUN_OCI=";

enum source { SOURCE_IMAGE, SOURCE_ANNOTATION, SOURCE_OPERATOR };

struct word {
    const char *key, *value;
    int key_length, value_length;
};

/* State of reading. */
struct reading {
    struct request *request;
    enum source source;
    bool is_heeded, is_merge_said;
    bool is_group_said, is_group_operators, is_layout_operators;
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

/* Same rule as in `ksmrun layout key` (ksmrun/host/layout_keys.py). */
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

static bool set_runtime_flags(const struct word *word, enum runtime_flags *flags) {
    static const char *const names[] = {[RUNTIME_FLAGS_OFF] = "off",
                                        [RUNTIME_FLAGS_MERGE] = "merge",
                                        [RUNTIME_FLAGS_SHRINK] = "shrink"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (is(word->value, word->value_length, names[i])) {
            *flags = (enum runtime_flags)i;
            return true;
        }
    return false;
}

static bool set_layout(const struct word *word, struct reading *reading) {
    struct request *request = reading->request;
    bool is_known = false;
    if (is(word->key, word->key_length, "layout")) {
        is_known = set_switch(word, "shared", "random", &request->layout_shared);
        if (is_known)
            reading->is_layout_operators = reading->source == SOURCE_OPERATOR;
    } else if (is(word->key, word->key_length, "layout-group")) {
        is_known = set_group(word, request->group);
        if (is_known) {
            reading->is_group_said = true;
            reading->is_group_operators = reading->source == SOURCE_OPERATOR;
        }
    } else if (is(word->key, word->key_length, "layout-scope")) {
        is_known = set_switch(word, "tree", "program", &request->layout_tree);
    }
    return is_known;
}

static bool set_domain(const struct word *word, struct reading *reading) {
    struct request *request = reading->request;
    snprintf(request->domain, DOMAIN_BYTES, "%.*s", word->value_length, word->value);
    request->is_domain_operators = reading->source == SOURCE_OPERATOR;
    request->is_domain_images = reading->source == SOURCE_IMAGE;
    /* Without it the container would merge with everybody. */
    request->is_domain_wrong =
        word->value_length >= DOMAIN_BYTES || !trust_is_name(request->domain);
    return !request->is_domain_wrong;
}

static bool is_layout(const struct word *word) {
    return word->key_length >= 6 && memcmp(word->key, "layout", 6) == 0;
}

static void note(char *text, size_t size, const struct word *word, const char *rest) {
    if (text[0] == '\0')
        snprintf(text, size, "%.*s=%.*s%s", word->key_length < 32 ? word->key_length : 32,
                 word->key, word->value_length < 64 ? word->value_length : 64, word->value, rest);
}

static void set(const struct word *word, struct reading *reading) {
    struct request *request = reading->request;
    bool is_known = false;
    if (!reading->is_heeded) {
        note(request->refused, sizeof request->refused, word,
             " is ignored, as an image may have set it; ask by --annotation, or see "
             "\"environment\" in --ksmrun-help");
        return;
    }
    /* A group's layout is a secret of its programs: an image can only ask for merging. */
    if (is_layout(word) && reading->source == SOURCE_IMAGE) {
        note(request->refused, sizeof request->refused, word,
             " is ignored, as an image or its environment may not ask for it; give it by "
             "--annotation, or in the host's configuration (--ksmrun-help)");
        return;
    }
    if (is(word->key, word->key_length, "merge")) {
        is_known = set_switch(word, "on", "off", &request->merge);
        reading->is_merge_said = reading->is_merge_said || is_known;
    } else if (is(word->key, word->key_length, "mechanism")) {
        is_known = set_mechanism(word, &request->mechanism);
    } else if (is(word->key, word->key_length, "runtime-flags")) {
        is_known = set_runtime_flags(word, &request->runtime_flags);
    } else if (is(word->key, word->key_length, "exclude-secrets")) {
        is_known = set_switch(word, "true", "false", &request->exclude_secrets);
    } else if (is(word->key, word->key_length, "require")) {
        is_known = set_switch(word, "true", "false", &request->require);
    } else if (is(word->key, word->key_length, "domain")) {
        is_known = set_domain(word, reading);
    } else {
        is_known = set_layout(word, reading);
    }
    if (!is_known)
        note(request->wrong, sizeof request->wrong, word, "");
}

/* "merge=on,layout=shared" */
static void read_words(const char *text, struct reading *reading) {
    while (*text != '\0') {
        int length = (int)strcspn(text, ",");
        int key_length = (int)strcspn(text, ",=");
        int value = key_length < length ? key_length + 1 : length;
        const struct word word = {text, text + value, key_length, length - value};
        if (length > 0)
            set(&word, reading);
        text += text[length] == ',' ? length + 1 : length;
    }
}

/* NULL if it is no string, or one with a NUL, at which readers would disagree about its end. */
static const char *text_of(yyjson_mut_val *value) {
    const char *text = yyjson_mut_get_str(value);
    return text != NULL && strlen(text) == yyjson_mut_get_len(value) ? text : NULL;
}

static void read_env(yyjson_mut_val *env, struct reading *reading) {
    size_t index, count;
    yyjson_mut_val *entry;
    const char *last = NULL;
    /* Of several the last counts, because that is how the kernel's list becomes a program's. */
    yyjson_mut_arr_foreach(env, index, count, entry) {
        const char *text = text_of(entry);
        if (text != NULL && strncmp(text, variable, sizeof variable - 1) == 0)
            last = text + sizeof variable - 1;
    }
    if (last != NULL)
        read_words(last, reading);
}

/* Reads the image's annotations, or the others. */
static void read_annotations(const struct asked *asked, bool of_image, struct reading *reading) {
    size_t index, count;
    yyjson_mut_val *key, *value;
    yyjson_mut_obj_foreach(asked->annotations, index, count, key, value) {
        const char *name = text_of(key), *text = text_of(value);
        if (name == NULL || text == NULL ||
            strncmp(name, annotation_prefix, sizeof annotation_prefix - 1) != 0)
            continue;
        bool is_of_image =
            asked->is_of_image != NULL && asked->is_of_image(asked->image, name, text);
        if (is_of_image != of_image)
            continue;
        name += sizeof annotation_prefix - 1;
        const struct word word = {name, text, (int)strlen(name), (int)strlen(text)};
        set(&word, reading);
    }
}

void request_read(const struct asked *asked, struct request *request) {
    struct reading reading = {.request = request,
                              .source = SOURCE_IMAGE,
                              .is_heeded = !asked->by_request || asked->heeds_image};
    *request = (struct request){.merge = false, .group = "default"};
    read_env(asked->env, &reading);
    read_annotations(asked, true, &reading);
    reading.is_heeded = true;
    reading.source = SOURCE_ANNOTATION;
    read_annotations(asked, false, &reading);
    reading.source = SOURCE_OPERATOR;
    if (asked->entry != NULL)
        read_words(asked->entry, &reading);
    if (asked->host != NULL)
        read_words(asked->host, &reading);
    request->is_group_operators =
        reading.is_group_said ? reading.is_group_operators : reading.is_layout_operators;
    if (!reading.is_merge_said)
        request->merge = !asked->by_request || request->layout_shared || request->require ||
                         request->domain[0] != '\0' || request->is_domain_wrong;
}
