/* Preloaded: uname(2) tells the release that RELEASE names. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

int uname(struct utsname *kernel) {
    const char *release = getenv("RELEASE");
    int result = (int)syscall(SYS_uname, kernel);
    if (result == 0 && release != NULL)
        snprintf(kernel->release, sizeof kernel->release, "%s", release);
    return result;
}
