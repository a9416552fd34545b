#!/bin/sh
# make -j4 with gcc, ar and a program of many objects; the objects must be equal to the byte.
set -eu
mkdir /tmp/make
cd /tmp/make
names=$(seq -f 'part%g' 1 24)
for name in $names; do
    printf '#include <stdio.h>\n#include <stdlib.h>\nint %s(int x) { return printf("%%d", x), abs(x) %% 7; }\n' \
        "$name" >"$name.c"
done
{
    for name in $names; do echo "int $name(int);"; done
    echo 'int main(void) { int sum = 0;'
    for name in $names; do echo "sum += $name(sum + 3);"; done
    echo 'return sum & 127; }'
} >main.c
cat >Makefile <<'END'
objects = $(patsubst %.c,%.o,$(wildcard *.c))
program: $(objects)
	$(CC) -o $@ $^
%.o: %.c
	$(CC) -O2 -c -o $@ $<
broken:
	@sh -c 'kill -SEGV $$$$'
END
make -s -j4 program
sha256sum -- *.o program
./program || echo " code $?"
make -s -k -j4 broken other 2>&1 | sed 's/([^)]*)//' | sort || true
printf 'int main(void) { return x; }\n' >bad.c
gcc -c bad.c 2>&1 || echo "code $?"
gcc -O2 -flto=2 -o lto main.c part*.c && ./lto >/dev/null || echo "code $?"
rm -r /tmp/make
