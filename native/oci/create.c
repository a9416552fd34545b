#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "launcher.h"
#include "log.h"
#include "shim.h"
#include "wrap.h"

/* The key's file on the host: root's, else the user's own, as podman without root is root in a user
 * namespace. */
static bool find_key(yyjson_mut_val *config, const char *group, char path[PATH_MAX],
                     char obstacle[OBSTACLE_BYTES]) {
    const char *base = getenv("XDG_RUNTIME_DIR");
    struct stat status;
    snprintf(path, PATH_MAX, "/run/ksmrun/layout/units/%s.key", group);
    if (access(path, R_OK) != 0 && base != NULL)
        snprintf(path, PATH_MAX, "%s/ksmrun/layout/units/%s.key", base, group);
    if (access(path, R_OK) != 0 || stat(path, &status) != 0)
        snprintf(obstacle, OBSTACLE_BYTES,
                 "the layout is the kernel's own: group %s has no key; `sudo ksmrun layout key %s "
                 "--output /run/ksmrun/layout/units/%s.key`",
                 group, group, group);
    else if (!S_ISREG(status.st_mode) || !spec_maps_user(config, status.st_uid))
        snprintf(obstacle, OBSTACLE_BYTES,
                 "the layout is the kernel's own: no user of the container's user namespace owns "
                 "group %s's key; chown it to the first of uidMappings",
                 group);
    else
        return true;
    return false;
}

/* Everything is looked at before anything is changed. Returns false with the obstacle. */
static bool wrap(const struct arguments *arguments, yyjson_mut_doc *document,
                 struct request *request, char obstacle[OBSTACLE_BYTES]) {
    yyjson_mut_val *root = yyjson_mut_doc_get_root(document);
    yyjson_mut_val *args = yyjson_mut_obj_get(yyjson_mut_obj_get(root, "process"), "args");
    char launcher[PATH_MAX], key[PATH_MAX];
    struct places places;
    struct words words;
    if (!spec_is_fit(root, obstacle) || !launcher_find(launcher, obstacle))
        return false;
    if (!spec_choose_places(root, &places)) {
        snprintf(obstacle, OBSTACLE_BYTES,
                 "it has no tmpfs, on /dev or elsewhere, where the launcher leaves no trace");
        return false;
    }
    if (request->layout_shared && !find_key(root, request->group, key, obstacle)) {
        if (request->require)
            return false;
        log_line(arguments, LEVEL_WARNING, "%s", obstacle);
        request->layout_shared = false;
    }
    bool has_shim = shim_is_wanted(request->mechanism) && shim_bind(document, launcher, &places);
    if (!has_shim)
        places.shim[0] = '\0';
    words_make(request, &places, false, &words);
    bool is_wrapped = spec_bind(document, launcher, places.launcher) &&
                      (!request->layout_shared || spec_bind(document, key, places.key)) &&
                      /* An image that brings a launcher has decided; exec is still ours. */
                      (args_are_wrapped(args) || args_wrap(document, args, words.list));
    if (!is_wrapped)
        snprintf(obstacle, OBSTACLE_BYTES, "no memory");
    return is_wrapped;
}

static void config_path(const struct arguments *arguments, char path[PATH_MAX]) {
    const char *name = arguments->config != NULL ? arguments->config : "config.json";
    const char *folder = arguments->bundle != NULL ? arguments->bundle : ".";
    if (*name == '/')
        snprintf(path, PATH_MAX, "%s", name);
    else
        snprintf(path, PATH_MAX, "%s/%s", folder, name);
}

bool wrap_create(const struct arguments *arguments) {
    char path[PATH_MAX], obstacle[OBSTACLE_BYTES];
    config_path(arguments, path);
    yyjson_mut_doc *document = document_load(path, obstacle);
    if (document == NULL)
        return fail_open(arguments, false, path, obstacle);

    yyjson_mut_val *root = yyjson_mut_doc_get_root(document);
    struct request request;
    request_of(arguments, root, yyjson_mut_obj_get(root, "process"), &request);
    if (request.wrong[0] != '\0')
        log_line(arguments, LEVEL_WARNING, "%s: ksmrun.%s is not understood; see --ksmrun-help",
                 path, request.wrong);
    /* A bundle that is started again may ask for something else now. */
    bool is_changed = spec_unwrap(document);
    bool starts = true, is_whole = true;
    if (request.merge) {
        is_whole = wrap(arguments, document, &request, obstacle);
        is_changed = is_changed || is_whole;
    }
    if (is_changed && !document_save(path, document, obstacle))
        is_whole = false;
    if (!is_whole)
        starts = fail_open(arguments, request.require, path, obstacle);
    yyjson_mut_doc_free(document);
    return starts;
}
