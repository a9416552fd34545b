#include "policy.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"

const char policy_file[] = "/etc/ksmrun/oci.json";

/* In a user namespace root's files appear to belong to the overflow user. What runs there has no
 * more rights than its user, who could run another runtime (user_namespaces(7)). */
static bool is_in_user_namespace(void) {
    unsigned long long inside = 0, outside = 0, count = 0;
    FILE *map = fopen("/proc/self/uid_map", "re");
    if (map == NULL)
        return false;
    bool is_whole = fscanf(map, "%llu %llu %llu", &inside, &outside, &count) == 3 && inside == 0 &&
                    outside == 0 && count == 4294967295ULL;
    fclose(map);
    return !is_whole;
}

/* Returns whether nobody else can change it; the same for its folder. */
static bool is_operators(const char *path) {
    struct stat status;
    if (stat(path, &status) != 0)
        return false;
    bool is_own = status.st_uid == 0 || status.st_uid == geteuid() || is_in_user_namespace();
    return is_own && (status.st_mode & 022) == 0;
}

static bool is_safe(const char *path) {
    char folder[PATH_MAX];
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash == NULL)
        return false;
    *(slash == folder ? slash + 1 : slash) = '\0';
    return is_operators(path) && is_operators(folder);
}

static bool is_list(yyjson_val *list, bool of_numbers) {
    size_t index, count;
    yyjson_val *entry;
    yyjson_arr_foreach(list, index, count, entry) {
        if (of_numbers ? !yyjson_is_uint(entry) : !yyjson_is_str(entry))
            return false;
    }
    return yyjson_is_arr(list);
}

/* A misspelt name would open more than intended. */
static const char *wrong_in_group(yyjson_val *group) {
    size_t index, count;
    yyjson_val *key, *value;
    if (!yyjson_is_obj(group))
        return "groups";
    yyjson_obj_foreach(group, index, count, key, value) {
        bool is_users = yyjson_equals_str(key, "users");
        if ((!is_users && !yyjson_equals_str(key, "namespaces") &&
             !yyjson_equals_str(key, "images")) ||
            !is_list(value, is_users))
            return yyjson_get_str(key);
    }
    return NULL;
}

/* Returns the first member that is invalid; NULL: none is. */
static const char *read_members(yyjson_val *root, struct policy *policy) {
    size_t index, count;
    yyjson_val *key, *value;
    if (!yyjson_is_obj(root))
        return "{";
    yyjson_obj_foreach(root, index, count, key, value) {
        const char *wrong = NULL;
        if (yyjson_equals_str(key, "environment") && yyjson_is_bool(value)) {
            policy->heeds_image = yyjson_get_bool(value);
        } else if (yyjson_equals_str(key, "request") && yyjson_is_str(value)) {
            policy->request = yyjson_get_str(value);
        } else if ((yyjson_equals_str(key, "groups") || yyjson_equals_str(key, "domains")) &&
                   yyjson_is_obj(value)) {
            size_t at, groups;
            yyjson_val *name, *group;
            *(yyjson_equals_str(key, "groups") ? &policy->groups : &policy->domains) = value;
            yyjson_obj_foreach(value, at, groups, name, group) {
                (void)name;
                wrong = wrong != NULL ? wrong : wrong_in_group(group);
            }
        } else {
            wrong = yyjson_get_str(key);
        }
        if (wrong != NULL)
            return wrong;
    }
    return NULL;
}

bool policy_load(const char *path, struct policy *policy, char obstacle[OBSTACLE_BYTES]) {
    static const char result[] = "until it is fixed, annotations get no shared layout";
    char *json;
    size_t length;
    *policy = (struct policy){.heeds_image = false};
    int error = file_read(path, &json, &length);
    if (error == -ENOENT || error == -ENOTDIR)
        return true;
    policy->is_damaged = true;
    if (error != 0) {
        snprintf(obstacle, OBSTACLE_BYTES, "it cannot be read: %s; %s", strerror(-error), result);
        return false;
    }
    if (!is_safe(path)) {
        free(json);
        snprintf(obstacle, OBSTACLE_BYTES,
                 "users other than root can change it or its folder; run chown root and chmod go-w "
                 "on both; %s",
                 result);
        return false;
    }
    yyjson_read_err problem;
    policy->document = yyjson_read_opts(json, length, YYJSON_READ_NOFLAG, NULL, &problem);
    free(json);
    if (policy->document == NULL) {
        snprintf(obstacle, OBSTACLE_BYTES, "it is not JSON: %s at byte %zu; %s", problem.msg,
                 problem.pos, result);
        return false;
    }
    const char *wrong = read_members(yyjson_doc_get_root(policy->document), policy);
    if (wrong == NULL) {
        policy->is_damaged = false;
        return true;
    }
    policy->heeds_image = false;
    policy->request = NULL;
    snprintf(obstacle, OBSTACLE_BYTES, "\"%.64s\" in it is not valid; see --ksmrun-help; %s", wrong,
             result);
    return false;
}

void policy_free(struct policy *policy) {
    yyjson_doc_free(policy->document);
    *policy = (struct policy){.heeds_image = false};
}

static bool has_number(yyjson_val *list, unsigned number) {
    size_t index, count;
    yyjson_val *entry;
    yyjson_arr_foreach(list, index, count, entry) {
        if (yyjson_get_uint(entry) == number)
            return true;
    }
    return false;
}

static bool has_match(yyjson_val *list, const char *text, const struct image *image) {
    size_t index, count;
    yyjson_val *entry;
    yyjson_arr_foreach(list, index, count, entry) {
        const char *pattern = yyjson_get_str(entry);
        if ((text != NULL && text[0] != '\0' && fnmatch(pattern, text, 0) == 0) ||
            (image != NULL && image_is_called(image, pattern)))
            return true;
    }
    return false;
}

static bool is_covered(yyjson_val *entry, const struct tenant *tenant, const struct image *image) {
    yyjson_val *namespaces = yyjson_obj_get(entry, "namespaces");
    yyjson_val *images = yyjson_obj_get(entry, "images"), *users = yyjson_obj_get(entry, "users");
    return entry != NULL &&
           (namespaces == NULL || has_match(namespaces, tenant->namespace, NULL)) &&
           (images == NULL || has_match(images, tenant->image, image)) &&
           (users == NULL || has_number(users, tenant->user));
}

bool policy_opens(const struct policy *policy, const char *group, const struct tenant *tenant,
                  const struct image *image) {
    if (policy->is_damaged || policy->groups == NULL)
        return !policy->is_damaged;
    return is_covered(yyjson_obj_get(policy->groups, group), tenant, image);
}

bool policy_opens_domain(const struct policy *policy, const char *domain,
                         const struct tenant *tenant, const struct image *image) {
    return !policy->is_damaged &&
           is_covered(yyjson_obj_get(policy->domains, domain), tenant, image);
}
