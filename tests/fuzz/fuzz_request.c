/* What a container asks for: the first byte says who asks and how, the rest are words. */
#include "fuzz.h"

#include "request.h"

static void promise_ended(const struct request *request) {
    PROMISE(memchr(request->group, '\0', GROUP_BYTES) != NULL && request->group[0] != '\0');
    PROMISE(strpbrk(request->group, "/%, =") == NULL);
    PROMISE(memchr(request->wrong, '\0', WRONG_BYTES) != NULL);
    PROMISE(memchr(request->refused, '\0', REFUSED_BYTES) != NULL);
    PROMISE(request->mechanism <= MECHANISM_PRELOAD);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct request request;
    if (size == 0)
        return 0;
    char *text = fuzz_text(data + 1, size - 1);
    struct asked asked = {.by_request = data[0] & 1, .heeds_image = data[0] & 2};
    if (data[0] & 4)
        asked.host = text;
    else
        asked.entry = text;
    request_read(&asked, &request);
    promise_ended(&request);

    /* The same words in an image's environment get no layout, and by request nothing at all. */
    yyjson_mut_doc *document = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *env = yyjson_mut_arr(document);
    char *variable = malloc(size + sizeof "KSMRUN_OCI=");
    PROMISE(variable != NULL);
    sprintf(variable, "KSMRUN_OCI=%s", text);
    yyjson_mut_arr_add_str(document, env, variable);
    asked = (struct asked){.by_request = data[0] & 1, .heeds_image = data[0] & 2, .env = env};
    request_read(&asked, &request);
    promise_ended(&request);
    PROMISE(!request.layout_shared && !request.layout_tree);
    PROMISE(strcmp(request.group, "default") == 0);
    if (asked.by_request && !asked.heeds_image)
        PROMISE(!request.merge && !request.require);
    yyjson_mut_doc_free(document);
    free(variable);
    free(text);
    return 0;
}
