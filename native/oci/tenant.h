/* Whose a container is, as far as its bundle tells: who it shares a layout with, and who on the
 * host reads what it reads. Pure. */
#ifndef KSMRUN_OCI_TENANT_H
#define KSMRUN_OCI_TENANT_H

#include <stdbool.h>

#include "image.h"
#include "spec.h"

enum { NAMESPACE_BYTES = 253 + 1, SCOPE_BYTES = NAMESPACE_BYTES + 32 };

struct tenant {
    char namespace[NAMESPACE_BYTES]; /* of Kubernetes; "": none */
    const char *image;               /* its name in Kubernetes, which points into config; NULL */
    unsigned user;                   /* the host's number of the process's user */
};

/* Returns false with the obstacle, where containers of others could not be told from it, or nobody
 * on the host is its user. */
bool tenant_read(yyjson_mut_val *config, const struct image *image, struct tenant *tenant,
                 char obstacle[OBSTACLE_BYTES]);

/* The words by which a group's key becomes that of the tenant's containers: the same for all of one
 * namespace, or for all outside of Kubernetes. As ksmrun/host/keys.py's callers have it too. */
void tenant_scope(const struct tenant *tenant, char scope[SCOPE_BYTES]);

/* The host's number of a user of the container (user_namespaces(7)). Returns false for none. */
bool tenant_map_user(yyjson_mut_val *config, unsigned long long user, unsigned *mapped);

#endif
