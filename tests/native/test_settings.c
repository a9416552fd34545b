#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "settings.h"

static struct settings of(const char *text) {
    char entry[128];
    strcpy(entry, text);
    return settings_read((char *[]){(char *)"A=mark", entry, NULL});
}

static void test_settings(void **state) {
    (void)state;
    struct settings settings = of("B=");
    assert_true(settings.inherit && !settings.mark);
    assert_int_equal(settings.mark_min_bytes, 65536);
    assert_int_equal(settings.map_reserve_percent, 20);
    settings = of("KSMRUN_SHIM=once,reserve=0,min=1048576,mark,join");
    assert_true(settings.mark && settings.join && !settings.inherit);
    assert_false(settings.exclude_secrets);
    settings = of("KSMRUN_SHIM=secrets,mark");
    assert_true(settings.exclude_secrets && settings.mark);
    settings = of("KSMRUN_SHIM=once,reserve=0,min=1048576,mark,join");
    assert_int_equal(settings.mark_min_bytes, 1048576);
    assert_int_equal(settings.map_reserve_percent, 0);
    assert_int_equal(of("KSMRUN_SHIM=reserve=100").map_reserve_percent, 20);
    assert_false(of("KSMRUN_SHIM=").mark);
    assert_false(of("KSMRUN_SHIMS=mark").mark);
    assert_false(settings_read(NULL).mark);
    char shim[] = "KSMRUN_SHIM=mark",
         valgrind[] = "LD_PRELOAD=/x.so:/usr/libexec/valgrind/vgpreload_core-amd64-linux.so";
    assert_true(settings_read((char *[]){shim, NULL}).mark);
    assert_false(settings_read((char *[]){shim, valgrind, NULL}).mark);
    assert_false(settings_read((char *[]){valgrind, shim, NULL}).mark);
}

static void test_seed(void **state) {
    (void)state;
    static const char seed[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1dfeff";
    char entry[128];
    snprintf(entry, sizeof entry, "KSMRUN_SHIM=keep,seed=%s,once", seed);
    struct settings settings = of(entry);
    assert_true(settings.has_seed && settings.keep_flag && !settings.inherit);
    for (int i = 0; i < SEED_BYTES - 2; i++)
        assert_int_equal(settings.seed[i], i);
    assert_int_equal(settings.seed[SEED_BYTES - 2], 0xfe);
    assert_int_equal(settings.seed[SEED_BYTES - 1], 0xff);
    settings = of("KSMRUN_SHIM=join");
    assert_false(settings.has_seed || settings.keep_flag);
    /* One digit less, one more, an invalid one. */
    for (int i = 0; i < 3; i++) {
        snprintf(entry, sizeof entry, "KSMRUN_SHIM=seed=%.*s%s", i == 1 ? 64 : 63, seed,
                 i == 0   ? ""
                 : i == 1 ? "0"
                          : "g");
        assert_false(of(entry).has_seed);
    }
}

static void forgets(const char *given, const char *left) {
    char first[] = "A=1", shim[] = "KSMRUN_SHIM=once", list[128];
    strcpy(list, given);
    char *environment[] = {shim, list, first, NULL};
    settings_forget_shim(environment);
    int count = 0;
    if (left != NULL)
        assert_string_equal(environment[count++], left);
    assert_ptr_equal(environment[count++], first);
    assert_null(environment[count]);
}

static void test_forgets_itself_only(void **state) {
    (void)state;
    forgets("LD_PRELOAD=/x/$PLATFORM/libksmrun-preload.so", NULL);
    forgets("LD_PRELOAD=/x/libksmrun-preload.so:/y.so", "LD_PRELOAD=/y.so");
    forgets("LD_PRELOAD=/y.so:/x/libksmrun-preload.so /z.so", "LD_PRELOAD=/y.so:/z.so");
    forgets("LD_PRELOAD=/libksmrun-preload.so.1", "LD_PRELOAD=/libksmrun-preload.so.1");
    forgets("LD_PRELOAD=libksmrun-preload.so", "LD_PRELOAD=libksmrun-preload.so");
    forgets("LD_PRELOADS=/x/libksmrun-preload.so", "LD_PRELOADS=/x/libksmrun-preload.so");
    settings_forget_shim(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_settings),
        cmocka_unit_test(test_seed),
        cmocka_unit_test(test_forgets_itself_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
