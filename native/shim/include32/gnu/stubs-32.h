/* glibc's <gnu/stubs.h> includes it for -m32, and only the package of the 32-bit libc has it. It
 * names functions that always fail; the shim calls none. */
