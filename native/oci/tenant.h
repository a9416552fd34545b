/* Tenant of a container, as far as its bundle shows: with whom it shares a layout, and which host
 * user reads its files. Pure. */
#ifndef KSMRUN_OCI_TENANT_H
#define KSMRUN_OCI_TENANT_H

#include <stdbool.h>

#include "image.h"
#include "spec.h"

enum { NAMESPACE_BYTES = 253 + 1, SCOPE_BYTES = NAMESPACE_BYTES + 32 };

struct tenant {
    char namespace[NAMESPACE_BYTES]; /* of Kubernetes; "": none */
    const char *image;               /* its name in Kubernetes, which points into config; NULL */
    unsigned user;                   /* UID of the process on the host */
};

/* Returns false with the obstacle if it could not be told apart from other tenants' containers, or
 * no host user corresponds to its user. */
bool tenant_read(yyjson_mut_val *config, const struct image *image, struct tenant *tenant,
                 char obstacle[OBSTACLE_BYTES]);

/* Scope from which the key of the tenant's containers is derived: the same for all of one
 * namespace, or for all outside of Kubernetes. ksmrun/model/wrap.py has the same words. */
void tenant_scope(const struct tenant *tenant, char scope[SCOPE_BYTES]);

/* Host UID of a user of the container (user_namespaces(7)). Returns false if there is none. */
bool tenant_map_user(yyjson_mut_val *config, unsigned long long user, unsigned *mapped);

#endif
