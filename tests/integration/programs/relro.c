/* A program with Lua's function that calls time(2), and writes to its relocated data, which ld.so
 * leaves writable where PT_GNU_RELRO ends within that page. */
#include <time.h>

static int number;
int *const relocated = &number;

long lua_newstate(void);
long lua_newstate(void) {
    return (long)time(NULL);
}

int main(void) {
    int **volatile place = (int **)&relocated;
    *place = &number;
    return lua_newstate() == 0;
}
