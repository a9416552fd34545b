#include "key.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../common/sha256.h"
#include "../layout/key.h"
#include "file.h"

static const char name[] = "ksmrun-layout.key";

/* The group's key on the host: root's, else the user's own, because podman without root is root in
 * a user namespace. */
static bool find_group(const char *group, char path[PATH_MAX], char obstacle[OBSTACLE_BYTES]) {
    const char *base = getenv("XDG_RUNTIME_DIR");
    snprintf(path, PATH_MAX, "/run/ksmrun/layout/units/%s.key", group);
    if (access(path, R_OK) != 0 && base != NULL)
        snprintf(path, PATH_MAX, "%s/ksmrun/layout/units/%s.key", base, group);
    if (access(path, R_OK) == 0)
        return true;
    snprintf(
        obstacle, OBSTACLE_BYTES,
        "shared layout not applied: group %s has no key; make one with `sudo ksmrun layout key %s "
        "--output /run/ksmrun/layout/units/%s.key`",
        group, group, group);
    return false;
}

bool key_make(const char *bundle, const char *group, const struct tenant *tenant,
              char path[PATH_MAX], char obstacle[OBSTACLE_BYTES]) {
    unsigned char of_group[KEY_BYTES], derived[SHA256_BYTES];
    char scope[SCOPE_BYTES], reason[REASON_BYTES];
    if (!find_group(group, path, obstacle))
        return false;
    if (key_read(path, NULL, of_group, reason) != 0) {
        snprintf(obstacle, OBSTACLE_BYTES, "shared layout not applied: %.400s", reason);
        return false;
    }
    tenant_scope(tenant, scope);
    hmac_sha256(of_group, sizeof of_group, scope, strlen(scope), derived);
    explicit_bzero(of_group, sizeof of_group);
    int result = snprintf(path, PATH_MAX, "%s/%s", bundle, name) < PATH_MAX
                     ? file_put_secret(bundle, name, derived, sizeof derived, tenant->user)
                     : -ENAMETOOLONG;
    explicit_bzero(derived, sizeof derived);
    if (result != 0)
        snprintf(obstacle, OBSTACLE_BYTES,
                 "shared layout not applied: %.160s cannot be written for user %u of the host: %s; "
                 "check the permissions of its folder, and uidMappings",
                 path, tenant->user, strerror(-result));
    return result == 0;
}

void key_remove(const char *bundle) {
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/%s", bundle, name) < PATH_MAX)
        unlink(path);
}
