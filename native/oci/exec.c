#include <stdlib.h>
#include <string.h>

#include "runtime.h"
#include "wrap.h"

/* ID COMMAND... of the command line, as a new list with a free place in front. */
static char **wrap_words(const struct arguments *arguments, char **argv,
                         const struct words *words) {
    size_t count = 0, added = 0, used = 1;
    while (argv[count] != NULL)
        count++;
    while (words->list[added] != NULL)
        added++;
    char **longer = calloc(count + added + 2, sizeof *longer);
    if (longer == NULL)
        return NULL;
    for (size_t i = (size_t)arguments->first; i < count; i++) {
        for (size_t word = 0; i == (size_t)arguments->exec_words && word < added; word++)
            if ((longer[used++] = strdup(words->list[word])) == NULL)
                return NULL;
        longer[used++] = argv[i];
    }
    return longer + 1;
}

/* Returns whether there is a command that can be wrapped, in the file of --process or among the
 * words. */
static bool is_fit(const struct arguments *arguments, yyjson_mut_val *args, char **argv) {
    if (arguments->process != NULL)
        return args_are_valid(args) && !args_are_wrapped(args);
    return !word_is_launcher(argv[arguments->exec_words]);
}

/* Returns whether the process has the user that the key is for: any other would only cause a
 * message, each time, that the user cannot read it. runc's and crun's --user is UID[:GID]. */
static bool is_same_user(const struct arguments *arguments, yyjson_mut_val *config,
                         yyjson_mut_val *process) {
    yyjson_mut_val *first = yyjson_mut_obj_get(yyjson_mut_obj_get(config, "process"), "user");
    yyjson_mut_val *user = yyjson_mut_obj_get(process, "user");
    const char *of_first = yyjson_mut_get_raw(yyjson_mut_obj_get(first, "uid"));
    const char *own = yyjson_mut_get_raw(yyjson_mut_obj_get(user, "uid"));
    if (arguments->process == NULL && arguments->user != NULL)
        own = arguments->user;
    return strtoull(of_first != NULL ? of_first : "0", NULL, 10) ==
           strtoull(own != NULL ? own : "0", NULL, 10);
}

/* Puts the launcher that create has mounted before the process or the words. */
static char **wrap(const struct arguments *arguments, yyjson_mut_val *config,
                   yyjson_mut_doc *document, struct request *request, char **argv) {
    char **unchanged = argv + arguments->first, **changed = unchanged;
    char obstacle[OBSTACLE_BYTES] = "no memory";
    yyjson_mut_val *process = document != NULL ? yyjson_mut_doc_get_root(document)
                                               : yyjson_mut_obj_get(config, "process");
    yyjson_mut_val *args = yyjson_mut_obj_get(process, "args");
    struct places places;
    struct words words;
    spec_find_places(config, &places);
    if (!request->merge || !is_fit(arguments, args, argv))
        return unchanged;
    /* If it has been told why it does not merge in its domain, this process does not either. */
    bool lacks_domain =
        request->is_domain_wrong || (request->domain[0] != '\0' && places.trust[0] == '\0');
    if (places.launcher[0] == '\0' || lacks_domain) {
        /* Otherwise create has reported it. */
        bool starts = !request->require || fail_open(arguments, true, arguments->id,
                                                     "it was started without the launcher");
        return starts ? unchanged : NULL;
    }
    if (!is_same_user(arguments, config, process))
        request->layout_shared = false;
    /* Quiet: the container's start has said why it does not merge; here it would be in the output
     * of a command. */
    words_make(request, &places, true, &words);
    if (document == NULL)
        changed = wrap_words(arguments, argv, &words);
    else if (!args_wrap(document, args, words.list) ||
             !document_save(arguments->process, document, obstacle))
        changed = NULL;
    if (changed == NULL && fail_open(arguments, request->require, arguments->id, obstacle))
        return unchanged;
    return changed;
}

char **wrap_exec(const struct arguments *arguments, const char *runtime, char **argv) {
    char **unchanged = argv + arguments->first;
    char path[PATH_MAX], bundle[PATH_MAX], obstacle[OBSTACLE_BYTES];
    bool is_told = arguments->process != NULL || arguments->exec_words != 0;
    /* A missing container is reported by the runtime. */
    if (!is_told || !runtime_find_config(arguments, runtime, path, bundle))
        return unchanged;
    yyjson_mut_doc *config = document_load(path, obstacle);
    if (config == NULL) {
        fail_open(arguments, false, path, obstacle);
        return unchanged;
    }
    yyjson_mut_doc *process = NULL;
    char **words = unchanged;
    if (arguments->process != NULL &&
        (process = document_load(arguments->process, obstacle)) == NULL)
        fail_open(arguments, false, arguments->process, obstacle);
    else {
        yyjson_mut_val *root = yyjson_mut_doc_get_root(config);
        struct wishes wishes;
        wishes_read(arguments, bundle, root,
                    process != NULL ? yyjson_mut_doc_get_root(process)
                                    : yyjson_mut_obj_get(root, "process"),
                    true, &wishes);
        words = wrap(arguments, root, process, &wishes.request, argv);
        wishes_free(&wishes);
    }
    yyjson_mut_doc_free(process);
    yyjson_mut_doc_free(config);
    return words;
}
