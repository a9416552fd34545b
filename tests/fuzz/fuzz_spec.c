/* A bundle's config.json: a wrapping is recognised, and unwrapping restores the original. */
#include "fuzz.h"

#include "request.h"
#include "spec.h"
#include "tenant.h"

static yyjson_mut_doc *read_text(const char *json, size_t length) {
    yyjson_doc *document = yyjson_read(json, length, YYJSON_READ_NUMBER_AS_RAW);
    yyjson_mut_doc *copy = document == NULL ? NULL : yyjson_doc_mut_copy(document, NULL);
    yyjson_doc_free(document);
    return copy;
}

static void wrap(yyjson_mut_doc *document, const struct places *places) {
    yyjson_mut_val *root = yyjson_mut_doc_get_root(document);
    yyjson_mut_val *args = yyjson_mut_obj_get(yyjson_mut_obj_get(root, "process"), "args");
    const char *const words[] = {places->launcher, "--require", "--", NULL};
    struct places found;
    char *before = yyjson_mut_write(document, YYJSON_WRITE_NOFLAG, NULL);
    PROMISE(spec_bind(document, "/host/launcher", places->launcher) &&
            spec_bind(document, "/host/key", places->key) && args_wrap(document, args, words) &&
            spec_mark_words(document, 3));
    spec_find_places(root, &found);
    PROMISE(strcmp(found.launcher, places->launcher) == 0 && strcmp(found.key, places->key) == 0);
    char *wrapped = yyjson_mut_write(document, YYJSON_WRITE_NOFLAG, NULL);
    /* JSON strings that are not valid UTF-8 are not written. */
    PROMISE((before == NULL) == (wrapped == NULL));
    yyjson_mut_doc *again = wrapped == NULL ? NULL : read_text(wrapped, strlen(wrapped));
    if (again != NULL) {
        PROMISE(spec_unwrap(again));
        char *after = yyjson_mut_write(again, YYJSON_WRITE_NOFLAG, NULL);
        PROMISE(after != NULL && strcmp(after, before) == 0);
        free(after);
    }
    yyjson_mut_doc_free(again);
    free(wrapped);
    free(before);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char obstacle[OBSTACLE_BYTES] = "";
    struct places places;
    struct request request;
    struct tenant tenant;
    const struct image image = {.count = 0};
    yyjson_mut_doc *document = read_text((const char *)data, size);
    if (document == NULL)
        return 0;
    yyjson_mut_val *root = yyjson_mut_doc_get_root(document);
    yyjson_mut_val *process = yyjson_mut_obj_get(root, "process");
    const struct asked asked = {.env = yyjson_mut_obj_get(process, "env"),
                                .annotations = yyjson_mut_obj_get(root, "annotations")};
    request_read(&asked, &request);
    PROMISE(!request.is_group_operators);
    if (tenant_read(root, &image, &tenant, obstacle)) {
        char scope[SCOPE_BYTES];
        tenant_scope(&tenant, scope);
        PROMISE(memchr(scope, '\0', sizeof scope) != NULL);
    }
    /* An input that is wrapped already is unwrapped first, as often as necessary. */
    spec_unwrap(document);
    bool is_fit = spec_is_fit(root, obstacle);
    PROMISE(is_fit == (obstacle[0] == '\0'));
    if (is_fit && spec_choose_places(root, "/nonexistent", &places) && !spec_unwrap(document))
        wrap(document, &places);
    yyjson_mut_doc_free(document);
    return 0;
}
