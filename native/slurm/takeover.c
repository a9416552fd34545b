#include "takeover.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/sha256.h"
#include "../layout/key.h"
#include "../oci/file.h"

static const char keys[] = "/run/ksmrun/slurm";

/* Whatever the umask is: each user must be able to reach their own key. */
static int make_folder(void) {
    if (mkdir("/run/ksmrun", 0755) == 0 && chmod("/run/ksmrun", 0755) != 0)
        return -errno;
    if (mkdir(keys, 0755) == 0)
        return chmod(keys, 0755) == 0 ? 0 : -errno;
    return errno == EEXIST ? 0 : -errno;
}

int takeover_key(const char *group, uid_t user, char path[PATH_MAX], char reason[REASON_BYTES]) {
    unsigned char of_group[KEY_BYTES], derived[SHA256_BYTES];
    char scope[32], name[NAME_MAX + 1];
    snprintf(path, PATH_MAX, "/run/ksmrun/layout/units/%s.key", group);
    if (access(path, R_OK) != 0)
        return refuse(reason,
                      "group %s has no key on this node (%s: %s); make one with `sudo ksmrun "
                      "layout key %s --output %s`, in Slurm's Prolog for example",
                      group, path, strerror(errno), group, path);
    if (key_read(path, NULL, of_group, reason) != 0)
        return -1;
    /* Users who do not trust each other must not know each other's addresses. */
    snprintf(scope, sizeof scope, "Slurm user %u", (unsigned)user);
    hmac_sha256(of_group, sizeof of_group, scope, strlen(scope), derived);
    explicit_bzero(of_group, sizeof of_group);
    snprintf(name, sizeof name, "%u-%s.key", (unsigned)user, group);
    int result = make_folder();
    if (result == 0)
        result = file_put_secret(keys, name, derived, sizeof derived, user);
    explicit_bzero(derived, sizeof derived);
    snprintf(path, PATH_MAX, "%s/%s", keys, name);
    return result == 0 ? 0
                       : refuse(reason,
                                "%s cannot be written: %s; run slurmd as root, and check the "
                                "permissions of that folder",
                                path, strerror(-result));
}

int takeover_text(const char *libexec, const char *key, bool require, const char *command,
                  char text[HANDOVER_BYTES], char reason[REASON_BYTES]) {
    char launcher[PATH_MAX], shim[PATH_MAX] = "", preload[PATH_MAX + 128] = "";
    snprintf(launcher, sizeof launcher, "%s/ksmrun-exec", libexec);
    if (access(launcher, X_OK) != 0)
        return refuse(reason,
                      "%s: %s; install ksmrun on this node, or name the folder in plugstack.conf "
                      "(libexec=FOLDER)",
                      launcher, strerror(errno));
    /* It gives runtimes one seed. The path of its variants is as ksmrun/wrap writes it. */
    snprintf(shim, sizeof shim, "%s/shim", libexec);
    if (access(shim, X_OK) == 0)
        snprintf(preload, sizeof preload,
                 "--preload=%s/$PLATFORM/as-libasan.so/../libksmrun-preload.so\n--shim=keep\n",
                 shim);
    int length = snprintf(text, HANDOVER_BYTES, "%s\n%s--layout=shared\n--layout-key=%s\n%s\n%s",
                          launcher, require ? "--require\n" : "", key, preload, command);
    return length < HANDOVER_BYTES ? 0 : refuse(reason, "its path is too long; use a shorter one");
}
