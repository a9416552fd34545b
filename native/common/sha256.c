#include "sha256.h"

#include <stdint.h>
#include <string.h>

enum { BLOCK_BYTES = 64, ROUNDS = 64 };

struct sha256 {
    uint32_t state[8];
    unsigned char block[BLOCK_BYTES];
    uint64_t bytes;
};

static const uint32_t constants[ROUNDS] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotate(uint32_t word, int bits) {
    return word >> bits | word << (32 - bits);
}

/* The standard's a to h as of this round. In the next each has the name of the one after it, so
 * that none is moved: compilers make a memmove of that, which takes most of the time. */
static uint32_t *letter(uint32_t s[8], int number, int round) {
    return &s[(unsigned)(number - round) % 8];
}

static void compress(struct sha256 *hash) {
    uint32_t w[ROUNDS], s[8];
    for (int i = 0; i < 16; i++) {
        const unsigned char *at = hash->block + 4 * i;
        w[i] = (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
    }
    for (int i = 16; i < ROUNDS; i++) {
        uint32_t a = w[i - 15], b = w[i - 2];
        w[i] = w[i - 16] + (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) + w[i - 7] +
               (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
    }
    memcpy(s, hash->state, sizeof s);
    for (int i = 0; i < ROUNDS; i++) {
        uint32_t e = *letter(s, 4, i), a = *letter(s, 0, i);
        uint32_t first = *letter(s, 7, i) + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) +
                         ((e & *letter(s, 5, i)) ^ (~e & *letter(s, 6, i))) + constants[i] + w[i];
        uint32_t second = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) +
                          ((a & *letter(s, 1, i)) ^ (a & *letter(s, 2, i)) ^
                           (*letter(s, 1, i) & *letter(s, 2, i)));
        *letter(s, 3, i) += first;
        *letter(s, 7, i) = first + second;
    }
    for (int i = 0; i < 8; i++)
        hash->state[i] += s[i];
}

static void begin(struct sha256 *hash) {
    *hash = (struct sha256){.state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f,
                                      0x9b05688c, 0x1f83d9ab, 0x5be0cd19}};
}

static void add(struct sha256 *hash, const void *data, size_t bytes) {
    for (const unsigned char *at = data; bytes > 0; bytes--) {
        hash->block[hash->bytes++ % BLOCK_BYTES] = *at++;
        if (hash->bytes % BLOCK_BYTES == 0)
            compress(hash);
    }
}

static void end(struct sha256 *hash, unsigned char digest[SHA256_BYTES]) {
    uint64_t bits = hash->bytes * 8;
    static const unsigned char one = 0x80, zero = 0;
    unsigned char length[8];
    for (int i = 0; i < 8; i++)
        length[i] = (unsigned char)(bits >> (56 - 8 * i));
    add(hash, &one, 1);
    while (hash->bytes % BLOCK_BYTES != BLOCK_BYTES - sizeof length)
        add(hash, &zero, 1);
    add(hash, length, sizeof length);
    for (int i = 0; i < SHA256_BYTES; i++)
        digest[i] = (unsigned char)(hash->state[i / 4] >> (24 - 8 * (i % 4)));
}

void hmac_sha256(const unsigned char *key, size_t key_bytes, const void *message,
                 size_t message_bytes, unsigned char digest[SHA256_BYTES]) {
    unsigned char padded[BLOCK_BYTES] = {0}, inner[BLOCK_BYTES], outer[BLOCK_BYTES];
    struct sha256 hash;
    if (key_bytes > BLOCK_BYTES) {
        begin(&hash);
        add(&hash, key, key_bytes);
        end(&hash, padded);
    } else {
        memcpy(padded, key, key_bytes);
    }
    for (int i = 0; i < BLOCK_BYTES; i++) {
        inner[i] = padded[i] ^ 0x36;
        outer[i] = padded[i] ^ 0x5c;
    }
    begin(&hash);
    add(&hash, inner, sizeof inner);
    add(&hash, message, message_bytes);
    end(&hash, digest);
    begin(&hash);
    add(&hash, outer, sizeof outer);
    add(&hash, digest, SHA256_BYTES);
    end(&hash, digest);
}
