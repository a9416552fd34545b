#include "tenant.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Annotations that Kubernetes engines add, the first one always (containerd pkg/cri/annotations,
 * with the namespace since 1.5; cri-o pkg/annotations, of which Podman uses others). A pod's author
 * could add those of the engine that is not in use. */
struct engine {
    const char *sign, *namespace, *image;
};
static const struct engine engines[] = {
    {"io.kubernetes.cri.container-type", "io.kubernetes.cri.sandbox-namespace",
     "io.kubernetes.cri.image-name"},
    {"io.kubernetes.cri-o.Labels", "io.kubernetes.cri-o.Namespace",
     "io.kubernetes.cri-o.ImageName"},
};

struct found {
    const char *namespace, *image;
    bool is_there, is_twice;
};

/* Numbers are kept as they are written. */
static bool number_of(yyjson_mut_val *object, const char *key, unsigned long long *number) {
    const char *text = yyjson_mut_get_raw(yyjson_mut_obj_get(object, key));
    char *end;
    if (text == NULL || text[0] < '0' || text[0] > '9')
        return false;
    *number = strtoull(text, &end, 10);
    return *end == '\0' && *number <= UINT32_MAX;
}

/* Returns whether it has a user namespace of its own, or joins another's. */
static bool has_user_namespace(yyjson_mut_val *linux_part) {
    size_t index, count;
    yyjson_mut_val *entry;
    yyjson_mut_arr_foreach(yyjson_mut_obj_get(linux_part, "namespaces"), index, count, entry) {
        if (yyjson_mut_equals_str(yyjson_mut_obj_get(entry, "type"), "user"))
            return true;
    }
    return false;
}

bool tenant_map_user(yyjson_mut_val *config, unsigned long long user, unsigned *mapped) {
    yyjson_mut_val *linux_part = yyjson_mut_obj_get(config, "linux"), *mapping;
    yyjson_mut_val *mappings = yyjson_mut_obj_get(linux_part, "uidMappings");
    size_t index, count;
    yyjson_mut_arr_foreach(mappings, index, count, mapping) {
        unsigned long long inside, outside, size;
        if (number_of(mapping, "containerID", &inside) && number_of(mapping, "hostID", &outside) &&
            number_of(mapping, "size", &size) && user >= inside && user - inside < size &&
            user - inside <= UINT32_MAX - outside) {
            *mapped = (unsigned)(outside + (user - inside));
            return true;
        }
    }
    *mapped = (unsigned)user;
    return yyjson_mut_arr_size(mappings) == 0 && !has_user_namespace(linux_part);
}

static bool find_user(yyjson_mut_val *config, unsigned *mapped) {
    yyjson_mut_val *process = yyjson_mut_obj_get(config, "process");
    yyjson_mut_val *user = yyjson_mut_obj_get(process, "user");
    unsigned long long number = 0;
    /* In the runtimes, a missing one means root. */
    if (yyjson_mut_obj_get(user, "uid") != NULL && !number_of(user, "uid", &number))
        return false;
    return tenant_map_user(config, number, mapped);
}

static void keep(const char **kept, const char *value, struct found *found) {
    found->is_twice = found->is_twice || *kept != NULL;
    *kept = value;
}

static void find_engine(yyjson_mut_val *annotations, const struct image *image,
                        const struct engine *engine, struct found *found) {
    size_t index, count;
    yyjson_mut_val *key, *value;
    *found = (struct found){.is_there = false};
    yyjson_mut_obj_foreach(annotations, index, count, key, value) {
        const char *name = yyjson_mut_get_str(key), *text = yyjson_mut_get_str(value);
        if (text == NULL || strlen(text) != yyjson_mut_get_len(value) ||
            image_has(image, name, text))
            continue;
        if (strcmp(name, engine->sign) == 0)
            found->is_there = true;
        else if (strcmp(name, engine->namespace) == 0)
            keep(&found->namespace, text, found);
        else if (strcmp(name, engine->image) == 0)
            keep(&found->image, text, found);
    }
    found->is_there = found->is_there || found->namespace != NULL;
}

bool tenant_read(yyjson_mut_val *config, const struct image *image, struct tenant *tenant,
                 char obstacle[OBSTACLE_BYTES]) {
    yyjson_mut_val *annotations = yyjson_mut_obj_get(config, "annotations");
    *tenant = (struct tenant){.user = 0};
    for (size_t i = 0; i < sizeof engines / sizeof *engines; i++) {
        struct found found;
        find_engine(annotations, image, &engines[i], &found);
        if (!found.is_there)
            continue;
        const char *namespace = found.namespace;
        bool is_told = namespace != NULL && namespace[0] != '\0' && !found.is_twice &&
                       strlen(namespace) < NAMESPACE_BYTES;
        if (!is_told ||
            (tenant->namespace[0] != '\0' && strcmp(tenant->namespace, namespace) != 0)) {
            snprintf(obstacle, OBSTACLE_BYTES,
                     "shared layout not applied: the pod's namespace is not certain from the "
                     "annotation %s; use containerd 1.5 or later, or CRI-O, and let no pod "
                     "set it",
                     engines[i].namespace);
            return false;
        }
        snprintf(tenant->namespace, sizeof tenant->namespace, "%s", namespace);
        tenant->image = found.image;
    }
    if (find_user(config, &tenant->user))
        return true;
    snprintf(obstacle, OBSTACLE_BYTES,
             "shared layout not applied: uidMappings does not map the process's user to one of the "
             "host, who could own the key; map process.user.uid");
    return false;
}

void tenant_scope(const struct tenant *tenant, char scope[SCOPE_BYTES]) {
    if (tenant->namespace[0] != '\0')
        snprintf(scope, SCOPE_BYTES, "containers of Kubernetes/%s", tenant->namespace);
    else
        snprintf(scope, SCOPE_BYTES, "containers of the host");
}
