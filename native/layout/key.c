#include "key.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "../common/sha256.h"

/* systemd gives a service's user access to its credentials by an entry of an access control list,
 * which the mode shows as the group's (include/uapi/linux/posix_acl{,_xattr}.h; acl(5):
 * correspondence between ACL entries and file permission bits). */
static bool acl_is_for_this_user(int descriptor) {
    enum { VERSION = 2, ENTRIES_MAX = 16 };
    enum { USER_OBJECT = 1, USER = 2, MASK = 16, GRANTS_NOTHING = 0 };
    struct {
        uint32_t version;
        struct {
            uint16_t tag, permissions;
            uint32_t id;
        } entries[ENTRIES_MAX];
    } list;
    ssize_t bytes = fgetxattr(descriptor, "system.posix_acl_access", &list, sizeof list);
    if (bytes < (ssize_t)sizeof list.version || list.version != VERSION)
        return false;
    size_t count = ((size_t)bytes - sizeof list.version) / sizeof list.entries[0];
    for (size_t i = 0; i < count; i++) {
        bool is_own = list.entries[i].tag == USER && list.entries[i].id == geteuid();
        bool is_nobodys = list.entries[i].tag == USER_OBJECT || list.entries[i].tag == MASK;
        if (!is_own && !is_nobodys && list.entries[i].permissions != GRANTS_NOTHING)
            return false;
    }
    return true;
}

/* A file that Python made (ksmrun/host/layout_keys.py) has the keys of all groups without their
 * own. */
static const char *advice(const char *group) {
    return group == NULL ? "make one: ksmrun layout key GROUP --output FILE"
                         : "remove it (rm), and the next launch makes a new one";
}

int key_read(const char *file, const char *group, unsigned char key[KEY_BYTES],
             char reason[REASON_BYTES]) {
    struct stat status;
    unsigned char bytes[KEY_BYTES + 1];
    /* O_NONBLOCK: a FIFO in its place would block. */
    int descriptor = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (descriptor < 0)
        return refuse(reason, "cannot read the layout key %s: %s; %s", file, strerror(errno),
                      errno == EMFILE || errno == ENFILE
                          ? "raise the limit of descriptors (ulimit -n)"
                          : advice(group));
    bool is_known = fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode);
    ssize_t length = read(descriptor, bytes, sizeof bytes);
    bool is_secret = is_known && ((status.st_mode & 077) == 0 || acl_is_for_this_user(descriptor));
    close(descriptor);
    if (!is_known || length != KEY_BYTES)
        return refuse(reason, "the layout key %s is not a file of %d bytes; %s", file, KEY_BYTES,
                      advice(group));
    if (!is_secret || (status.st_uid != 0 && status.st_uid != geteuid()))
        return refuse(reason,
                      "the layout key %s can be read by other users (mode %04o, owner %u), so it "
                      "is no longer secret; %s",
                      file, (unsigned)(status.st_mode & 07777), (unsigned)status.st_uid,
                      advice(group));
    if (group == NULL)
        memcpy(key, bytes, KEY_BYTES);
    else
        hmac_sha256(bytes, KEY_BYTES, group, strlen(group), key);
    explicit_bzero(bytes, sizeof bytes);
    return 0;
}
