/* Names of trust domains, and the state that says which of them may merge (`ksmrun help trust`).
 * Pure. */
#ifndef KSMRUN_TRUST_H
#define KSMRUN_TRUST_H

#include <stdbool.h>
#include <stddef.h>

enum { DOMAIN_BYTES = 63 + 1 };

enum trust_state {
    TRUST_KNOWN,
    TRUST_DAMAGED,
    TRUST_OTHER_FORMAT, /* of another ksmrun */
    TRUST_OTHER_BOOT,
};

/* Where root keeps the state and its lock (ksmrun/host, `ksmrun trust claim`). */
extern const char trust_folder[];

/* The same rule as for names in the trust file. */
bool trust_is_name(const char *name);

/* Reads the domain that may merge, "" if none may, from the text of the state: exactly the lines
 * "ksmrun-trust 1", "boot ID" and "domain NAME", or "domain -". boot: the kernel's id of this
 * boot. */
enum trust_state trust_parse(const char *text, size_t length, const char *boot,
                             char holder[DOMAIN_BYTES]);

#endif
