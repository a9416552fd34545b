#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "key.h"
#include "launcher.h"
#include "log.h"
#include "shim.h"
#include "wrap.h"

/* Makes the key of the container's layout, if its group is open for it. Returns false with the
 * obstacle. */
static bool make_key(const struct wishes *wishes, yyjson_mut_val *config, const char *bundle,
                     char path[PATH_MAX], char obstacle[OBSTACLE_BYTES]) {
    const char *group = wishes->request.group;
    struct tenant tenant;
    if (!tenant_read(config, &wishes->image, &tenant, obstacle))
        return false;
    if (!wishes->request.is_group_operators &&
        !policy_opens(&wishes->policy, group, &tenant, &wishes->image)) {
        snprintf(obstacle, OBSTACLE_BYTES,
                 "shared layout not applied: group %s is not open for this container (user "
                 "%u, namespace \"%.64s\"); see \"groups\" in --ksmrun-help",
                 group, tenant.user, tenant.namespace);
        return false;
    }
    return key_make(bundle, group, &tenant, path, obstacle);
}

static bool has_domains(void) {
    struct stat status;
    return stat(trust_folder, &status) == 0 && S_ISDIR(status.st_mode);
}

/* Returns whether the launcher can look in the container whether its domain may merge; else the
 * obstacle. */
static bool may_name_domain(const struct wishes *wishes, yyjson_mut_val *config,
                            char obstacle[OBSTACLE_BYTES]) {
    const struct request *request = &wishes->request;
    struct tenant tenant;
    if (request->is_domain_wrong) {
        snprintf(obstacle, OBSTACLE_BYTES, "ksmrun.domain=%.63s is not the name of a trust domain",
                 request->domain);
        return false;
    }
    /* A domain trusts those that are in it, so that an image cannot put itself there. */
    if (request->is_domain_images) {
        snprintf(obstacle, OBSTACLE_BYTES,
                 "trust domain %s was named by the image or its environment, which may not; give "
                 "ksmrun.domain by --annotation, or in the host's configuration (--ksmrun-help)",
                 request->domain);
        return false;
    }
    if (request->exclude_secrets) {
        snprintf(obstacle, OBSTACLE_BYTES,
                 "with ksmrun.exclude-secrets memory is made to merge too late for trust domain "
                 "%s to be guarded",
                 request->domain);
        return false;
    }
    if (!request->is_domain_operators) {
        if (!tenant_read(config, &wishes->image, &tenant, obstacle))
            return false;
        if (!policy_opens_domain(&wishes->policy, request->domain, &tenant, &wishes->image)) {
            snprintf(obstacle, OBSTACLE_BYTES,
                     "trust domain %s is not open for this container (user %u, namespace "
                     "\"%.64s\"); see \"domains\" in --ksmrun-help",
                     request->domain, tenant.user, tenant.namespace);
            return false;
        }
    }
    if (has_domains())
        return true;
    snprintf(obstacle, OBSTACLE_BYTES,
             "no trust domain may merge yet (there is no %s); run `sudo ksmrun trust claim %s`",
             trust_folder, request->domain);
    return false;
}

/* Checks everything before anything is changed. Returns false with the obstacle. */
static bool wrap(const struct arguments *arguments, yyjson_mut_doc *document, const char *bundle,
                 struct wishes *wishes, char obstacle[OBSTACLE_BYTES]) {
    yyjson_mut_val *root = yyjson_mut_doc_get_root(document);
    yyjson_mut_val *args = yyjson_mut_obj_get(yyjson_mut_obj_get(root, "process"), "args");
    struct request *request = &wishes->request;
    char launcher[PATH_MAX], key[PATH_MAX];
    struct places places;
    struct words words;
    if (!spec_is_fit(root, obstacle) || !launcher_find(launcher, obstacle))
        return false;
    if (!spec_choose_places(root, bundle, &places)) {
        snprintf(obstacle, OBSTACLE_BYTES,
                 "it has no tmpfs, on /dev or elsewhere, where the launcher leaves no trace");
        return false;
    }
    bool has_domain = request->domain[0] != '\0' || request->is_domain_wrong;
    /* The operator may have named one there. */
    if (wishes->policy.is_damaged && !has_domain && has_domains()) {
        snprintf(obstacle, OBSTACLE_BYTES,
                 "this host has trust domains, and its configuration, which may name one, cannot "
                 "be used; fix it");
        return false;
    }
    if (has_domain && !may_name_domain(wishes, root, obstacle))
        return false;
    if (request->layout_shared && !make_key(wishes, root, bundle, key, obstacle)) {
        if (request->require)
            return false;
        log_line(arguments, LEVEL_WARNING, "%s", obstacle);
        request->layout_shared = false;
    }
    bool needs_shim = request->exclude_secrets || shim_is_wanted(request->mechanism);
    bool has_shim = needs_shim && shim_bind(document, launcher, &places);
    if (request->exclude_secrets && !has_shim) {
        snprintf(obstacle, OBSTACLE_BYTES,
                 "ksmrun.exclude-secrets needs the shim, and there is none beside %.200s",
                 launcher);
        return false;
    }
    if (!has_shim)
        places.shim[0] = '\0';
    words_make(request, &places, false, &words);
    /* If the image brings a launcher, that decides; a restored process has started already. exec is
     * still ours, and CRIU needs each mount that there was (`ext-mount-map`). */
    bool is_started = args_are_wrapped(args) || arguments->command == COMMAND_RESTORE;
    size_t count = is_started ? 0 : words.count;
    bool is_wrapped = spec_bind(document, launcher, places.launcher) &&
                      spec_mark_words(document, count) &&
                      (!request->layout_shared || spec_bind(document, key, places.key)) &&
                      (!has_domain || spec_bind(document, trust_folder, places.trust)) &&
                      (count == 0 || args_wrap(document, args, words.list));
    if (!is_wrapped)
        snprintf(obstacle, OBSTACLE_BYTES, "no memory");
    return is_wrapped;
}

/* A pause container has no memory to merge, and each pod has one. An image cannot claim to be
 * one. */
static bool is_pause(yyjson_mut_val *root, const struct image *image) {
    const char *value, *name = spec_pause_annotation(root, &value);
    return name != NULL && !image_has(image, name, value);
}

/* A checkpoint contains only what was there: CRIU saves which VMAs were marked to merge, and not
 * PR_SET_MEMORY_MERGE. Returns false with the obstacle if that is too little. */
static bool may_restore(const struct arguments *arguments, const struct request *request,
                        const char *path, char obstacle[OBSTACLE_BYTES]) {
    snprintf(obstacle, OBSTACLE_BYTES,
             "restored processes keep merging what they have, and memory that they map later may "
             "not merge");
    if (!request->require)
        log_line(arguments, LEVEL_WARNING, "%s: %s; see `ksmrun attach`", path, obstacle);
    return !request->require;
}

static void config_path(const struct arguments *arguments, char path[PATH_MAX]) {
    const char *name = arguments->config != NULL ? arguments->config : "config.json";
    const char *folder = arguments->bundle != NULL ? arguments->bundle : ".";
    if (*name == '/')
        snprintf(path, PATH_MAX, "%s", name);
    else
        snprintf(path, PATH_MAX, "%s/%s", folder, name);
}

/* Changes the document, and saves it if it has changed. */
static bool change(const struct arguments *arguments, const char *path, const char *bundle,
                   yyjson_mut_doc *document) {
    yyjson_mut_val *root = yyjson_mut_doc_get_root(document);
    char obstacle[OBSTACLE_BYTES];
    struct wishes wishes;
    wishes_read(arguments, bundle, root, yyjson_mut_obj_get(root, "process"), false, &wishes);
    /* A bundle that is started again may ask for something else now. */
    bool was_wrapped = spec_unwrap(document);
    bool is_whole = true, is_changed = was_wrapped, starts = true;
    if (is_pause(root, &wishes.image))
        wishes.request.merge = wishes.request.layout_shared = false;
    if (wishes.request.merge && arguments->command == COMMAND_RESTORE)
        is_whole = may_restore(arguments, &wishes.request, path, obstacle);
    if (wishes.request.merge && is_whole) {
        is_whole = wrap(arguments, document, bundle, &wishes, obstacle);
        is_changed = is_changed || is_whole;
    }
    if (is_changed && !document_save(path, document, obstacle))
        is_whole = false;
    bool has_key = wishes.request.merge && wishes.request.layout_shared && is_whole;
    if (!has_key && (was_wrapped || wishes.request.layout_shared))
        key_remove(bundle);
    if (!is_whole)
        starts = fail_open(arguments, wishes.request.require, path, obstacle);
    wishes_free(&wishes);
    return starts;
}

bool wrap_create(const struct arguments *arguments) {
    char path[PATH_MAX], bundle[PATH_MAX], obstacle[OBSTACLE_BYTES];
    config_path(arguments, path);
    yyjson_mut_doc *document = document_load(path, obstacle);
    /* Mounts and the engine's storage are named by absolute paths. */
    if (document == NULL ||
        realpath(arguments->bundle != NULL ? arguments->bundle : ".", bundle) == NULL) {
        if (document != NULL)
            snprintf(obstacle, sizeof obstacle, "its folder does not exist: %s", strerror(errno));
        yyjson_mut_doc_free(document);
        return fail_open(arguments, false, path, obstacle);
    }
    bool starts = change(arguments, path, bundle, document);
    yyjson_mut_doc_free(document);
    return starts;
}
