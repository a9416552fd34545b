#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "spec.h"

static const char *const whole[] = {
    /* Like the output of runc spec, shortened; with numbers and names that a careless reader would
     * change. */
    "{\"ociVersion\":\"1.0.2-dev\",\"process\":{\"terminal\":true,\"user\":{\"uid\":4294967295},"
    "\"args\":[\"sh\",\"-c\",\"a \\\"b\\\" -- \\u0001\xc3\xa4\\u0000x\"],\"env\":[\"A=B\"],"
    "\"oomScoreAdj\":-0,\"rlimits\":[{\"hard\":18446744073709551615,\"soft\":1e400}]},"
    "\"root\":{\"path\":\"rootfs\",\"readonly\":true},\"mounts\":[{\"destination\":\"/proc\","
    "\"type\":\"proc\"},{\"destination\":\"/dev\",\"type\":\"tmpfs\",\"options\":[\"nosuid\"]},"
    "{\"destination\":\"/dev/pts\",\"type\":\"devpts\"}],\"hooks\":{\"poststop\":[{\"path\":\"/"
    "x\"}]},"
    "\"annotations\":{\"z\":\"1\",\"a\":\"2\"},\"linux\":{\"resources\":{\"memory\":{"
    "\"limit\":9223372036854775807123,\"swappiness\":0.1000}}},\"x\":{},\"y\":[null,true,1.0]}",
    "{\"mounts\":[{\"type\":\"tmpfs\",\"destination\":\"/run\"}],\"process\":{\"args\":[\"/a\"]},"
    "\"ociVersion\":\"1.2.0\"}",
};

static yyjson_mut_doc *read_text(const char *json, size_t length) {
    yyjson_doc *document = yyjson_read(json, length, YYJSON_READ_NUMBER_AS_RAW);
    if (document == NULL)
        return NULL;
    yyjson_mut_doc *copy = yyjson_doc_mut_copy(document, NULL);
    yyjson_doc_free(document);
    return copy;
}

static yyjson_mut_val *args_of(yyjson_mut_doc *document) {
    yyjson_mut_val *root = yyjson_mut_doc_get_root(document);
    return yyjson_mut_obj_get(yyjson_mut_obj_get(root, "process"), "args");
}

/* Wraps if that is possible; then the wrapping is recognised, and unwrapping restores the
 * original. */
static bool wraps_and_unwraps(yyjson_mut_doc *document) {
    char obstacle[OBSTACLE_BYTES];
    struct places places, found;
    yyjson_mut_val *root = yyjson_mut_doc_get_root(document);
    if (spec_unwrap(document))
        return false;
    if (!spec_is_fit(root, obstacle)) {
        assert_string_not_equal(obstacle, "");
        return false;
    }
    if (!spec_choose_places(root, "/nonexistent", &places))
        return false;
    char *before = yyjson_mut_write(document, YYJSON_WRITE_NOFLAG, NULL);
    const char *const words[] = {places.launcher, "--require", "--", NULL};
    /* What looks like ours and is not marked belongs to others. */
    bool was_wrapped = args_are_wrapped(args_of(document));
    assert_true(spec_bind(document, "/host/launcher", places.launcher));
    assert_true(spec_bind(document, "/host/key", places.key));
    assert_true(spec_bind(document, "/host/lib/x", places.shim));
    assert_true(args_wrap(document, args_of(document), words));
    assert_true(spec_mark_words(document, 3));
    assert_true(args_are_wrapped(args_of(document)));
    assert_true(spec_is_fit(root, obstacle));
    spec_find_places(root, &found);
    assert_string_equal(found.launcher, places.launcher);
    assert_string_equal(found.key, places.key);
    assert_string_equal(found.shim, places.shim);

    char *wrapped = yyjson_mut_write(document, YYJSON_WRITE_NOFLAG, NULL);
    yyjson_mut_doc *again = read_text(wrapped, strlen(wrapped));
    assert_true(spec_unwrap(again));
    char *after = yyjson_mut_write(again, YYJSON_WRITE_NOFLAG, NULL);
    assert_string_equal(after, before);
    assert_false(spec_unwrap(again));
    assert_int_equal(args_are_wrapped(args_of(again)), was_wrapped);
    yyjson_mut_doc_free(again);
    free(after);
    free(wrapped);
    free(before);
    return true;
}

static void test_all_else_stays_equal(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
        yyjson_mut_doc *document = read_text(whole[i], strlen(whole[i]));
        char *text = yyjson_mut_write(document, YYJSON_WRITE_NOFLAG, NULL);
        assert_string_equal(text, whole[i]);
        assert_true(wraps_and_unwraps(document));
        free(text);
        yyjson_mut_doc_free(document);
    }
}

/* Bytes changed, cut out and doubled at random: whatever is still JSON is treated the same. */
static void test_damaged_configs(void **state) {
    (void)state;
    enum { ROUNDS = 20000, BYTES = 2048 };
    static const char letters[] = "{}[]\",:0-1eE.\\un \x01\xff/dev";
    unsigned random = 1;
    int wrapped = 0;
    for (int round = 0; round < ROUNDS; round++) {
        char text[BYTES];
        size_t length = strlen(whole[round % 2]);
        memcpy(text, whole[round % 2], length);
        for (int change = 0; change < 1 + round % 3; change++) {
            random = random * 1664525U + 1013904223U;
            size_t at = (random >> 8) % length;
            if (random % 3 == 0)
                text[at] = letters[(random >> 4) % (sizeof letters - 1)];
            else if (random % 3 == 1)
                memmove(text + at, text + at + 1, --length - at);
            else
                length = at + 1 < length ? length : at + 1;
        }
        yyjson_mut_doc *document = read_text(text, length);
        wrapped += document != NULL && wraps_and_unwraps(document);
        yyjson_mut_doc_free(document);
    }
    assert_true(wrapped > ROUNDS / 20);
}

/* config with one of its members replaced by this JSON. */
static bool is_fit(const char *member, const char *json) {
    char obstacle[OBSTACLE_BYTES];
    yyjson_mut_doc *document = read_text(whole[0], strlen(whole[0]));
    yyjson_mut_doc *other = read_text(json, strlen(json));
    yyjson_mut_val *root = yyjson_mut_doc_get_root(document);
    yyjson_mut_obj_remove_key(root, member);
    if (other != NULL)
        yyjson_mut_obj_add_val(document, root, member, yyjson_mut_doc_get_root(other));
    bool fit = spec_is_fit(root, obstacle);
    assert_int_equal(fit, obstacle[0] == '\0');
    yyjson_mut_doc_free(document);
    yyjson_mut_doc_free(other);
    return fit;
}

static void test_what_is_not_wrapped(void **state) {
    (void)state;
    assert_true(is_fit("ociVersion", "\"1.2.1\""));
    assert_false(is_fit("ociVersion", "\"2.0.0\""));
    assert_false(is_fit("ociVersion", "\"0.6\""));
    assert_false(is_fit("ociVersion", "\"10.0\""));
    assert_false(is_fit("ociVersion", "1"));
    assert_false(is_fit("ociVersion", ""));
    assert_false(is_fit("process", ""));
    assert_false(is_fit("process", "[]"));
    assert_false(is_fit("process", "{\"args\":[]}"));
    assert_false(is_fit("process", "{\"args\":[\"a\",1]}"));
    assert_false(is_fit("process", "{\"args\":\"a\"}"));
    assert_true(is_fit("process", "{\"args\":[\"a\"]}"));
    assert_false(is_fit("vm", "{}"));
    assert_false(is_fit("windows", "{}"));
    assert_false(is_fit("annotations", "{\"run.oci.handler\":\"krun\"}"));
    assert_true(is_fit("annotations", "[]"));
}

static char bundle[] = "/tmp/ksmrun-bundle-XXXXXX";

static const char *place(const char *mounts) {
    static struct places places;
    char json[2048];
    snprintf(json, sizeof json, "{'root':{'path':'rootfs'},'mounts':%s}", mounts);
    for (char *c = json; *c != '\0'; c++)
        *c = *c == '\'' ? '"' : *c;
    yyjson_mut_doc *document = read_text(json, strlen(json));
    assert_non_null(document);
    bool has = spec_choose_places(yyjson_mut_doc_get_root(document), bundle, &places);
    yyjson_mut_doc_free(document);
    return has ? places.launcher : "";
}

#define TMPFS(folder) "{'destination':'" folder "','type':'tmpfs'}"
#define BIND(folder) "{'destination':'" folder "','type':'bind','source':'/x'}"

static void test_places_leave_no_trace(void **state) {
    (void)state;
    assert_string_equal(place("[" TMPFS("/dev") "]"), "/dev/ksmrun/ksmrun-exec");
    assert_string_equal(place("[" TMPFS("/tmp") "," TMPFS("/run") "," TMPFS("/dev") "]"),
                        "/dev/ksmrun/ksmrun-exec");
    assert_string_equal(place("[" TMPFS("/tmp") "," TMPFS("/run") "]"), "/run/ksmrun/ksmrun-exec");
    assert_string_equal(place("[" TMPFS("/dev/shm") "]"), "/dev/shm/ksmrun/ksmrun-exec");
    /* The host's own /dev, as --volume /dev:/dev gives it. */
    assert_string_equal(place("[" BIND("/dev") "]"), "");
    assert_string_equal(place("[" TMPFS("/dev") "," BIND("/dev") "]"), "");
    assert_string_equal(place("[" TMPFS("/dev/shm") "," BIND("/dev/") "]"), "");
    assert_string_equal(place("[" TMPFS("/dev") "," BIND("/") "]"), "");
    assert_string_equal(place("[" BIND("/dev") "," TMPFS("/dev") "]"), "/dev/ksmrun/ksmrun-exec");
    assert_string_equal(place("[" TMPFS("/dev") "," BIND("/dev/pts") "," BIND("/devices") "]"),
                        "/dev/ksmrun/ksmrun-exec");
    assert_string_equal(place("[{'destination':'/run','type':'tmpfs','options':['ro']}]"), "");
    assert_string_equal(place("[" TMPFS("dev") "]"), "");
    assert_string_equal(place("null"), "");
    assert_string_equal(place("[1,'a',{'type':'tmpfs'},{'destination':5,'type':'tmpfs'}]"), "");
}

static void add_link(const char *text, const char *name) {
    char path[128];
    snprintf(path, sizeof path, "%s/rootfs/%s", bundle, name);
    assert_int_equal(symlink(text, path), 0);
}

/* A later mount may reach the tmpfs by another name, and what is put there would be on the host. */
static void test_other_names_of_a_place(void **state) {
    (void)state;
    char path[128], command[128];
    assert_non_null(mkdtemp(bundle));
    for (const char *const *name = (const char *const[]){"", "/var", "/dev", NULL}; *name != NULL;
         name++) {
        snprintf(path, sizeof path, "%s/rootfs%s", bundle, *name);
        assert_int_equal(mkdir(path, 0755), 0);
    }
    add_link("../run", "var/run");
    add_link("../../../../run", "var/above");
    add_link("/dev", "devices");
    add_link("var/./above", "twice");
    add_link("loop", "loop");
    assert_string_equal(place("[" TMPFS("/run") "," BIND("/var/run") "]"), "");
    assert_string_equal(place("[" TMPFS("/run") "," BIND("/var/above") "]"), "");
    assert_string_equal(place("[" TMPFS("/run") "," BIND("/twice") "]"), "");
    assert_string_equal(place("[" TMPFS("/run") "," BIND("/loop") "]"), "");
    assert_string_equal(place("[" TMPFS("/var/run") "," BIND("/run") "]"), "");
    assert_string_equal(place("[" TMPFS("/dev") "," BIND("/devices") "]"), "");
    assert_string_equal(place("[" TMPFS("/dev") "," BIND("//dev//") "]"), "");
    assert_string_equal(place("[" TMPFS("/dev") "," BIND("/tmp/../dev/.") "]"), "");
    assert_string_equal(place("[" TMPFS("/dev") "," BIND("/../..") "]"), "");
    /* By a link of a volume, below which another one is mounted. */
#define VOLUME "{'destination':'/data','type':'bind','source':'%s/volume'}"
    char volume[512];
    snprintf(path, sizeof path, "%s/volume", bundle);
    assert_int_equal(mkdir(path, 0755), 0);
    strcat(path, "/link");
    assert_int_equal(symlink("/run", path), 0);
    snprintf(volume, sizeof volume, "[" TMPFS("/run") "," VOLUME "," BIND("/data/link") "]",
             bundle);
    assert_string_equal(place(volume), "");
    snprintf(volume, sizeof volume, "[" TMPFS("/run") "," VOLUME "," BIND("/data/other") "]",
             bundle);
    assert_string_equal(place(volume), "/run/ksmrun/ksmrun-exec");
    snprintf(volume, sizeof volume,
             "[" TMPFS("/run") "," VOLUME "," TMPFS("/data") "," BIND("/data/link") "]", bundle);
    assert_string_equal(place(volume), "/run/ksmrun/ksmrun-exec");
    /* Another place is still free, as where Kubernetes mounts a service account's secrets. */
    assert_string_equal(place("[" TMPFS("/dev") "," TMPFS("/run") "," BIND("/devices") "]"),
                        "/run/ksmrun/ksmrun-exec");
    assert_string_equal(place("[" TMPFS("/dev") "," BIND("/var/run/secrets") "]"),
                        "/dev/ksmrun/ksmrun-exec");
    assert_string_equal(place("[" TMPFS("/run") "," BIND("/var/run/secrets") "]"),
                        "/run/ksmrun/ksmrun-exec");
    snprintf(command, sizeof command, "rm -r %s", bundle);
    assert_int_equal(system(command), 0);
}

/* Whoever writes it decides how many names have to be looked at, and a container must start. */
static void test_a_limit_of_looks(void **state) {
    (void)state;
    enum { MOUNTS = 5000, DEPTH = 100, BYTES = MOUNTS * (2 * DEPTH + 80) };
    char *json = malloc(BYTES), deep[2 * DEPTH + 1] = "";
    assert_non_null(json);
    for (int i = 0; i < DEPTH; i++)
        strcat(deep, "/x");
    int at = snprintf(json, BYTES, "{\"mounts\":[");
    for (int i = 0; i < MOUNTS; i++)
        at += snprintf(json + at, (size_t)(BYTES - at),
                       "{\"destination\":\"%s%d\",\"type\":\"tmpfs\"},", deep, i);
    at += snprintf(json + at, (size_t)(BYTES - at), "{\"destination\":\"/\"}]}");
    yyjson_mut_doc *document = read_text(json, (size_t)at);
    assert_non_null(document);
    struct places places;
    clock_t before = clock();
    assert_false(spec_choose_places(yyjson_mut_doc_get_root(document), bundle, &places));
    /* It took minutes of CPU without a limit. */
    assert_true(clock() - before < 30 * (clock_t)CLOCKS_PER_SEC);
    yyjson_mut_doc_free(document);
    free(json);
}

static void test_room_for_mount_points(void **state) {
    (void)state;
#define INODES(text) "[{'destination':'/run','type':'tmpfs','options':['nr_inodes=" text "']}]"
    assert_string_equal(place(INODES("2")), "");
    assert_string_equal(place(INODES("63")), "");
    assert_string_equal(place(INODES("64")), "/run/ksmrun/ksmrun-exec");
    assert_string_equal(place(INODES("1k")), "/run/ksmrun/ksmrun-exec");
    /* No limit (tmpfs(5)). */
    assert_string_equal(place(INODES("0")), "/run/ksmrun/ksmrun-exec");
}

/* A user's own launcher, mounted where ours would be. */
static void test_what_is_not_marked_is_left(void **state) {
    (void)state;
    static const char text[] =
        "{\"process\":{\"args\":[\"/dev/ksmrun/ksmrun-exec\",\"--require\",\"--\",\"sh\"]},"
        "\"mounts\":[{\"destination\":\"/dev\",\"type\":\"tmpfs\"},{\"type\":\"bind\","
        "\"destination\":\"/dev/ksmrun/ksmrun-exec\",\"source\":\"/x\"},{\"type\":\"bind\","
        "\"destination\":\"/dev/ksmrun/layout.key\",\"source\":\"/y\"}]}";
    yyjson_mut_doc *document = read_text(text, strlen(text));
    struct places places;
    assert_false(spec_unwrap(document));
    spec_find_places(yyjson_mut_doc_get_root(document), &places);
    assert_string_equal(places.launcher, "");
    assert_string_equal(places.key, "");
    /* With ours beside it, and the user's words in front: those stay. */
    assert_true(spec_bind(document, "/host/launcher", "/dev/ksmrun/ksmrun-exec"));
    assert_true(spec_mark_words(document, 0));
    char *wrapped = yyjson_mut_write(document, YYJSON_WRITE_NOFLAG, NULL);
    yyjson_mut_doc *again = read_text(wrapped, strlen(wrapped));
    assert_true(spec_unwrap(again));
    char *after = yyjson_mut_write(again, YYJSON_WRITE_NOFLAG, NULL);
    assert_string_equal(after, text);
    free(after);
    free(wrapped);
    yyjson_mut_doc_free(again);
    yyjson_mut_doc_free(document);
}

/* The mount of the key alone: it would obstruct a new one. */
static void test_rest_of_a_wrapping_is_taken_away(void **state) {
    (void)state;
    static const char text[] =
        "{\"process\":{\"args\":[\"/dev/ksmrun/ksmrun-exec\",\"--\",\"sh\"]},"
        "\"mounts\":[{\"destination\":\"/dev\",\"type\":\"tmpfs\"}]}";
    yyjson_mut_doc *document = read_text(text, strlen(text));
    assert_true(spec_bind(document, "/host/key", "/dev/ksmrun/layout.key"));
    assert_true(spec_unwrap(document));
    char *after = yyjson_mut_write(document, YYJSON_WRITE_NOFLAG, NULL);
    assert_string_equal(after, text);
    free(after);
    yyjson_mut_doc_free(document);
}

static void test_what_readers_take_differently(void **state) {
    (void)state;
    static const char *const texts[] = {
        "{\"ociVersion\":\"1.0\",\"process\":{\"args\":[\"a\"]},\"Process\":{\"args\":[\"b\"]}}",
        "{\"ociVersion\":\"1.0\",\"process\":{\"args\":[\"a\"],\"args\":[\"b\"]}}",
        "{\"ociVersion\":\"1.0\",\"process\":{\"args\":[\"a\"]},\"mounts\":[],\"mounts\":[]}",
        ("{\"ociVersion\":\"1.0\",\"process\":{\"args\":[\"a\"]},\"linux\":{\"namespaces\":[],"
         "\"namespaces\":[]}}"),
        "{\"ociVersion\":\"1.0\\u0000\",\"ociVersion\":\"1.0\",\"process\":{\"args\":[\"a\"]}}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char obstacle[OBSTACLE_BYTES];
        yyjson_mut_doc *document = read_text(texts[i], strlen(texts[i]));
        assert_false(spec_is_fit(yyjson_mut_doc_get_root(document), obstacle));
        yyjson_mut_doc_free(document);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_else_stays_equal),
        cmocka_unit_test(test_damaged_configs),
        cmocka_unit_test(test_what_is_not_wrapped),
        cmocka_unit_test(test_places_leave_no_trace),
        cmocka_unit_test(test_other_names_of_a_place),
        cmocka_unit_test(test_a_limit_of_looks),
        cmocka_unit_test(test_room_for_mount_points),
        cmocka_unit_test(test_what_is_not_marked_is_left),
        cmocka_unit_test(test_rest_of_a_wrapping_is_taken_away),
        cmocka_unit_test(test_what_readers_take_differently),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
