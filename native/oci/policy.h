/* Host's configuration: what its operator lets containers ask for. */
#ifndef KSMRUN_OCI_POLICY_H
#define KSMRUN_OCI_POLICY_H

#include <stdbool.h>

#include "image.h"
#include "spec.h"
#include "tenant.h"

extern const char policy_file[];

struct policy {
    bool heeds_image;    /* by request, KSMRUN_OCI and an image's annotations count too */
    const char *request; /* final settings, for all; NULL: none */
    yyjson_val *groups;  /* NULL: each group that has a key for containers is open */
    yyjson_val *domains; /* NULL: no trust domain is open */
    bool is_damaged;     /* then no group is open */
    yyjson_doc *document;
};

/* Loads the file; a missing one means the defaults. Returns false with the obstacle if it is
 * damaged or not root's. Must be freed in any case. */
bool policy_load(const char *path, struct policy *policy, char obstacle[OBSTACLE_BYTES]);
void policy_free(struct policy *policy);

/* Returns whether containers of this tenant may have a layout of the group. */
bool policy_opens(const struct policy *policy, const char *group, const struct tenant *tenant,
                  const struct image *image);

/* Returns whether annotations of this tenant's containers may name the trust domain. */
bool policy_opens_domain(const struct policy *policy, const char *domain,
                         const struct tenant *tenant, const struct image *image);

#endif
