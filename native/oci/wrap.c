#include "wrap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "log.h"
#include "shim.h"

yyjson_mut_doc *document_load(const char *path, char obstacle[OBSTACLE_BYTES]) {
    char *json;
    size_t length;
    int result = file_read(path, &json, &length);
    if (result != 0) {
        snprintf(obstacle, OBSTACLE_BYTES, "it cannot be read: %s", strerror(-result));
        return NULL;
    }
    yyjson_read_err error;
    yyjson_doc *document = yyjson_read_opts(json, length, YYJSON_READ_NUMBER_AS_RAW, NULL, &error);
    free(json);
    if (document == NULL) {
        snprintf(obstacle, OBSTACLE_BYTES, "it is not JSON: %s at byte %zu", error.msg, error.pos);
        return NULL;
    }
    yyjson_mut_doc *copy = yyjson_doc_mut_copy(document, NULL);
    yyjson_doc_free(document);
    if (copy == NULL)
        snprintf(obstacle, OBSTACLE_BYTES, "no memory");
    return copy;
}

bool document_save(const char *path, yyjson_mut_doc *document, char obstacle[OBSTACLE_BYTES]) {
    size_t length;
    char *json = yyjson_mut_write(document, YYJSON_WRITE_NOFLAG, &length);
    int result = json == NULL ? 0 : file_replace(path, json, length);
    bool is_saved = json != NULL && result == 0;
    free(json);
    if (!is_saved)
        snprintf(obstacle, OBSTACLE_BYTES, "it cannot be written: %s",
                 result == 0 ? "no memory" : strerror(-result));
    return is_saved;
}

void words_make(const struct request *request, const struct places *places, bool quiet,
                struct words *words) {
    int count = 0;
    words->list[count++] = places->launcher;
    if (quiet)
        words->list[count++] = "--quiet";
    if (request->require)
        words->list[count++] = "--require";
    if (request->layout_shared && places->key[0] != '\0') {
        snprintf(words->key_option, sizeof words->key_option, "--layout-key=%s", places->key);
        words->list[count++] = "--layout=shared";
        words->list[count++] = words->key_option;
        if (request->layout_tree)
            words->list[count++] = "--layout-scope=tree";
    }
    bool has_domain = request->domain[0] != '\0';
    if (has_domain) {
        snprintf(words->domain_option, sizeof words->domain_option, "--domain=%s", request->domain);
        snprintf(words->trust_option, sizeof words->trust_option, "--trust-folder=%s",
                 places->trust);
        words->list[count++] = words->domain_option;
        words->list[count++] = words->trust_option;
    }
    if (places->shim[0] != '\0') {
        snprintf(words->shim_option, sizeof words->shim_option,
                 "--preload=%s/$PLATFORM/as-libasan.so/../libksmrun-preload.so", places->shim);
        words->list[count++] = words->shim_option;
        bool joins = !request->exclude_secrets || shim_is_wanted(request->mechanism);
        /* With a domain the launcher alone sets the flag, while it holds the lock. */
        words->list[count++] = has_domain                  ? "--shim=join,keep"
                               : !request->exclude_secrets ? "--shim=join"
                               : joins                     ? "--shim=join,secrets"
                                                           : "--shim=secrets";
    }
    /* The shim sets the flag where it is loaded, and nothing merges where it is not. */
    if (request->exclude_secrets)
        words->list[count++] = "--merge=off";
    const char *const *flags = runtime_words[quiet ? RUNTIME_FLAGS_OFF : request->runtime_flags];
    for (; *flags != NULL; flags++)
        words->list[count++] = *flags;
    words->list[count++] = "--";
    words->list[count] = NULL;
    words->count = (size_t)count;
}

bool fail_open(const struct arguments *arguments, bool require, const char *what,
               const char *obstacle) {
    log_line(arguments, require ? LEVEL_ERROR : LEVEL_WARNING, "%s: %s; %s", what, obstacle,
             require ? "not started because of ksmrun.require" : "it starts without merging");
    return !require;
}

void wishes_read(const struct arguments *arguments, const char *bundle, yyjson_mut_val *config,
                 yyjson_mut_val *process, bool quiet, struct wishes *wishes) {
    char obstacle[OBSTACLE_BYTES];
    const char *file = getenv("KSMRUN_OCI_CONFIG");
    if (arguments->policy != NULL)
        file = arguments->policy;
    if (file == NULL || *file == '\0')
        file = policy_file;
    if (!policy_load(file, &wishes->policy, obstacle) && !quiet)
        log_line(arguments, LEVEL_WARNING, "%s: %s", file, obstacle);
    yyjson_mut_val *annotations = yyjson_mut_obj_get(config, "annotations");
    image_read(bundle, annotations, &wishes->image);
    const struct asked asked = {
        .by_request = arguments->by_request,
        .heeds_image = arguments->heeds_image || wishes->policy.heeds_image,
        .env = yyjson_mut_obj_get(process, "env"),
        .annotations = annotations,
        .is_of_image = image_has,
        .image = &wishes->image,
        .entry = arguments->request,
        .host = wishes->policy.request,
    };
    request_read(&asked, &wishes->request);
    if (quiet)
        return;
    if (wishes->request.wrong[0] != '\0')
        log_line(arguments, LEVEL_WARNING, "%s: ksmrun.%s is not valid; see --ksmrun-help", bundle,
                 wishes->request.wrong);
    if (wishes->request.refused[0] != '\0' && wishes->image.is_unknown)
        log_line(arguments, LEVEL_WARNING,
                 "%s: its image is not found in Podman's storage beside it, so each annotation "
                 "counts as the image's own; ask by --ksmrun-request or in the host's "
                 "configuration (--ksmrun-help)",
                 bundle);
    else if (wishes->request.refused[0] != '\0')
        log_line(arguments, LEVEL_WARNING, "%s: %s", bundle, wishes->request.refused);
}

void wishes_free(struct wishes *wishes) {
    policy_free(&wishes->policy);
    image_free(&wishes->image);
}
