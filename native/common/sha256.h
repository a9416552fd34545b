/* HMAC-SHA256 (RFC 2104, FIPS 180-4). */
#ifndef KSMRUN_SHA256_H
#define KSMRUN_SHA256_H

#include <stddef.h>

enum { SHA256_BYTES = 32 };

void hmac_sha256(const unsigned char *key, size_t key_bytes, const void *message,
                 size_t message_bytes, unsigned char digest[SHA256_BYTES]);

#endif
