/* Preloaded into user-mode-linux, whose buffer for floating-point registers has room for AVX-512,
 * and not for AMX: where the processor has that, PTRACE_SETREGSET of less than all of them fails
 * with EFAULT (arch/x86/kernel/fpu/regset.c: xstateregs_set()), and UML's first program is killed.
 */
#include <dlfcn.h>
#include <elf.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

enum { REGISTERS_BYTES_MAX = 64 << 10 };

long ptrace(enum __ptrace_request request, ...) {
    static unsigned char registers[REGISTERS_BYTES_MAX];
    long (*next)(enum __ptrace_request, ...) = dlsym(RTLD_NEXT, "ptrace");
    va_list arguments;
    va_start(arguments, request);
    int pid = va_arg(arguments, int);
    void *address = va_arg(arguments, void *), *data = va_arg(arguments, void *);
    va_end(arguments);
    if (request != PTRACE_SETREGSET || (uintptr_t)address != NT_X86_XSTATE)
        return next(request, pid, address, data);
    const struct iovec *given = data;
    struct iovec all = {registers, sizeof registers};
    if (next(PTRACE_GETREGSET, pid, address, &all) != 0)
        return -1;
    memcpy(registers, given->iov_base, given->iov_len < all.iov_len ? given->iov_len : all.iov_len);
    return next(PTRACE_SETREGSET, pid, address, &all);
}
