#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "request.h"

/* An annotation with this value is the image's. */
static bool is_of_image(const void *image, const char *key, const char *value) {
    (void)key;
    return image != NULL && strcmp(value, image) == 0;
}

/* annotations and env as JSON with ' for ". */
static struct request ask_all(struct asked asked, const char *annotations, const char *env) {
    char json[1024];
    snprintf(json, sizeof json, "{'a':%s,'e':%s}", annotations, env);
    for (char *c = json; *c != '\0'; c++)
        *c = *c == '\'' ? '"' : *c;
    yyjson_doc *document = yyjson_read(json, strlen(json), YYJSON_READ_NOFLAG);
    assert_non_null(document);
    yyjson_mut_doc *copy = yyjson_doc_mut_copy(document, NULL);
    yyjson_mut_val *root = yyjson_mut_doc_get_root(copy);
    struct request request;
    asked.annotations = yyjson_mut_obj_get(root, "a");
    asked.env = yyjson_mut_obj_get(root, "e");
    asked.is_of_image = is_of_image;
    request_read(&asked, &request);
    yyjson_mut_doc_free(copy);
    yyjson_doc_free(document);
    return request;
}

static struct request ask(bool by_request, const char *annotations, const char *env) {
    return ask_all((struct asked){.by_request = by_request, .heeds_image = true}, annotations, env);
}

static void test_selected_or_asked(void **state) {
    (void)state;
    assert_true(ask(false, "{}", "[]").merge);
    assert_false(ask(true, "{}", "[]").merge);
    assert_false(ask(false, "{'ksmrun.merge':'off'}", "[]").merge);
    assert_true(ask(true, "{'ksmrun.merge':'on'}", "[]").merge);
    assert_true(ask(true, "{'ksmrun.layout':'shared'}", "[]").merge);
    assert_true(ask(true, "{'ksmrun.require':'true'}", "[]").merge);
    assert_false(ask(true, "{'ksmrun.layout':'random','ksmrun.require':'false'}", "[]").merge);
    assert_false(ask(true, "{'ksmrun.layout':'shared','ksmrun.merge':'off'}", "[]").merge);
    assert_true(ask(true, "null", "['A=1','KSMRUN_OCI=merge=on']").merge);
    assert_false(ask(false, "null", "['KSMRUN_OCI=merge=off']").merge);
}

static void test_runtime_flags(void **state) {
    (void)state;
    assert_int_equal(ask(false, "{}", "[]").runtime_flags, RUNTIME_FLAGS_OFF);
    assert_int_equal(ask(false, "{'ksmrun.runtime-flags':'merge'}", "[]").runtime_flags,
                     RUNTIME_FLAGS_MERGE);
    assert_int_equal(
        ask(false, "{'ksmrun.runtime-flags':'off'}", "['KSMRUN_OCI=runtime-flags=shrink']")
            .runtime_flags,
        RUNTIME_FLAGS_OFF);
    assert_string_equal(ask(false, "{'ksmrun.runtime-flags':'on'}", "[]").wrong,
                        "runtime-flags=on");
}

static void test_secrets(void **state) {
    (void)state;
    assert_false(ask(false, "{}", "[]").exclude_secrets);
    assert_true(ask(false, "{'ksmrun.exclude-secrets':'true'}", "[]").exclude_secrets);
    assert_true(ask(false, "{}", "['KSMRUN_OCI=exclude-secrets=true']").exclude_secrets);
    assert_string_equal(ask(false, "{'ksmrun.exclude-secrets':'on'}", "[]").wrong,
                        "exclude-secrets=on");
}

static void test_domains(void **state) {
    (void)state;
    struct request r = ask(true, "{'ksmrun.domain':'web'}", "[]");
    assert_true(r.merge && !r.is_domain_operators && !r.is_domain_wrong);
    assert_string_equal(r.domain, "web");
    assert_string_equal(ask(true, "{}", "[]").domain, "");
    /* An image cannot say whom its users trust. */
    r = ask(false, "{}", "['KSMRUN_OCI=domain=web']");
    assert_true(r.is_domain_images && !r.is_domain_operators);
    r = ask(false, "{'ksmrun.domain':'mail'}", "['KSMRUN_OCI=domain=web']");
    assert_true(!r.is_domain_images);
    assert_string_equal(r.domain, "mail");
    r = ask_all((struct asked){.entry = "domain=mail"}, "{'ksmrun.domain':'web'}", "[]");
    assert_true(r.is_domain_operators);
    assert_string_equal(r.domain, "mail");
    /* Not merging with everybody instead. */
    static const char *const wrong[] = {"", "Web", "-a", "a b", "a/b"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char annotations[64];
        snprintf(annotations, sizeof annotations, "{'ksmrun.domain':'%s'}", wrong[i]);
        r = ask(true, annotations, "[]");
        assert_true(r.is_domain_wrong && r.merge);
        assert_non_null(strstr(r.wrong, "domain="));
    }
    char annotations[128];
    snprintf(annotations, sizeof annotations, "{'ksmrun.domain':'%064d'}", 0);
    assert_true(ask(true, annotations, "[]").is_domain_wrong);
}

static void test_all_words(void **state) {
    (void)state;
    struct request r =
        ask(true,
            "{'ksmrun.layout':'shared','ksmrun.layout-group':'g.1_-','ksmrun.layout-scope':"
            "'tree'}",
            "['KSMRUN_OCI=merge=on,require=true']");
    assert_true(r.merge && r.layout_shared && r.require && r.layout_tree);
    assert_string_equal(r.group, "g.1_-");
    assert_string_equal(r.wrong, "");
    assert_int_equal(r.mechanism, MECHANISM_AUTO);
    r = ask(true, "{'ksmrun.mechanism':'preload'}", "['KSMRUN_OCI=mechanism=prctl']");
    assert_int_equal(r.mechanism, MECHANISM_PRELOAD);
    assert_false(r.merge);
    assert_string_equal(ask(true, "{}", "[]").group, "default");
}

/* Environment, annotation, runtime's entry and host's configuration, each against those that it
 * overrides. */
static void test_who_has_the_last_word(void **state) {
    (void)state;
    enum { ENVIRONMENT, ANNOTATION, ENTRY, HOST, SOURCES };
    for (int strong = 0; strong < SOURCES; strong++)
        for (int weak = 0; weak < strong; weak++)
            for (int is_on = 0; is_on < 2; is_on++) {
                const char *words[SOURCES] = {NULL};
                words[strong] = is_on ? "on" : "off";
                words[weak] = is_on ? "off" : "on";
                char env[64] = "[]", annotations[64] = "{}", entry[32], host[32];
                struct asked asked = {.by_request = true, .heeds_image = true};
                if (words[ENVIRONMENT] != NULL)
                    snprintf(env, sizeof env, "['KSMRUN_OCI=merge=%s']", words[ENVIRONMENT]);
                if (words[ANNOTATION] != NULL)
                    snprintf(annotations, sizeof annotations, "{'ksmrun.merge':'%s'}",
                             words[ANNOTATION]);
                if (words[ENTRY] != NULL) {
                    snprintf(entry, sizeof entry, "merge=%s", words[ENTRY]);
                    asked.entry = entry;
                }
                if (words[HOST] != NULL) {
                    snprintf(host, sizeof host, "merge=%s", words[HOST]);
                    asked.host = host;
                }
                assert_int_equal(ask_all(asked, annotations, env).merge, is_on);
            }
    struct asked both = {.entry = "layout-group=b,layout-scope=tree", .host = "layout=random"};
    struct request r = ask_all(both, "{'ksmrun.layout':'shared','ksmrun.layout-group':'a'}", "[]");
    assert_false(r.layout_shared);
    assert_string_equal(r.group, "b");
    assert_true(r.layout_tree);
    assert_false(ask(false, "{}", "['KSMRUN_OCI=merge=on','KSMRUN_OCI=merge=off']").merge);
}

/* Only the starter may name a group; an image may not even ask for a layout. */
static void test_an_image_asks_for_merging_alone(void **state) {
    (void)state;
    static const char layout[] = "['KSMRUN_OCI=merge=on,layout=shared,layout-group=prod']";
    static const char annotations[] = "{'ksmrun.layout':'shared','ksmrun.layout-group':'prod'}";
    struct request r = ask(true, "{}", layout);
    assert_true(r.merge);
    assert_false(r.layout_shared);
    assert_string_equal(r.group, "default");
    assert_non_null(strstr(r.refused, "layout=shared is ignored"));
    /* A podman --annotation is not the image's; one that the image has too is. */
    struct asked asked = {.heeds_image = true, .image = "shared"};
    r = ask_all(asked, annotations, "[]");
    assert_false(r.layout_shared);
    assert_string_equal(r.group, "prod");
    asked.image = "prod";
    r = ask_all(asked, annotations, "[]");
    assert_true(r.layout_shared && !r.is_group_operators);
    assert_string_equal(r.group, "default");
    /* By request nothing from an image counts. */
    asked = (struct asked){.by_request = true, .image = "on"};
    r = ask_all(asked, "{'ksmrun.merge':'on'}", "['KSMRUN_OCI=merge=on,require=true']");
    assert_false(r.merge || r.require);
    assert_non_null(strstr(r.refused, "is ignored"));
    asked.image = NULL;
    assert_true(ask_all(asked, "{'ksmrun.merge':'on'}", "[]").merge);
}

static void test_who_chose_the_group(void **state) {
    (void)state;
    static const char annotations[] = "{'ksmrun.layout':'shared','ksmrun.layout-group':'a'}";
    assert_false(ask(false, annotations, "[]").is_group_operators);
    assert_false(ask(false, "{'ksmrun.layout':'shared'}", "[]").is_group_operators);
    struct asked asked = {.entry = "layout=shared"};
    assert_true(ask_all(asked, "{}", "[]").is_group_operators);
    assert_false(ask_all(asked, annotations, "[]").is_group_operators);
    asked.host = "layout-group=b";
    assert_true(ask_all(asked, annotations, "[]").is_group_operators);
    assert_string_equal(ask_all(asked, annotations, "[]").group, "b");
}

static void test_what_is_not_understood_changes_nothing(void **state) {
    (void)state;
    static const char *const values[] = {
        "merge",
        "merge=",
        "merge=ON",
        "merge=on ",
        "merg=on",
        "layout-group=a/b",
        "layout-group=",
        "require=1",
        "mechanism=mark",
        "layout-scope=all",
        "layout=shared.",
        "=",
        "layout-group=a\nb",
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        char words[64];
        snprintf(words, sizeof words, ",%s,", values[i]);
        struct request r = ask_all((struct asked){.by_request = true, .host = words}, "{}", "[]");
        assert_false(r.merge || r.layout_shared || r.require);
        assert_string_equal(r.group, "default");
        assert_string_not_equal(r.wrong, "");
    }
    char group[256];
    snprintf(group, sizeof group, "{'ksmrun.layout-group':'%065d'}", 0);
    assert_string_equal(ask(true, group, "[]").group, "default");
    assert_non_null(strstr(ask(true, "{'ksmrun.merg':'on'}", "[]").wrong, "merg=on"));
    /* Not ours, or no string. */
    assert_string_equal(ask(true, "{'a':'b','ksmrunx':'y','ksmrun.merge':1}", "[1,null]").wrong,
                        "");
    /* Readers would disagree about its end. */
    assert_false(
        ask(true, "{'ksmrun.merge':'on\\u0000off'}", "['KSMRUN_OCI=merge=on\\u0000']").merge);
    assert_false(ask(true, "['ksmrun.merge','on']", "{'KSMRUN_OCI=merge=on':'x'}").merge);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_selected_or_asked),
        cmocka_unit_test(test_runtime_flags),
        cmocka_unit_test(test_secrets),
        cmocka_unit_test(test_domains),
        cmocka_unit_test(test_all_words),
        cmocka_unit_test(test_who_has_the_last_word),
        cmocka_unit_test(test_an_image_asks_for_merging_alone),
        cmocka_unit_test(test_who_chose_the_group),
        cmocka_unit_test(test_what_is_not_understood_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
