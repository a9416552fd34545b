#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "request.h"

/* annotations and env as JSON with ' for ". */
static struct request ask(bool by_request, const char *annotations, const char *env) {
    char json[1024];
    snprintf(json, sizeof json, "{'a':%s,'e':%s}", annotations, env);
    for (char *c = json; *c != '\0'; c++)
        *c = *c == '\'' ? '"' : *c;
    yyjson_doc *document = yyjson_read(json, strlen(json), YYJSON_READ_NOFLAG);
    assert_non_null(document);
    yyjson_mut_doc *copy = yyjson_doc_mut_copy(document, NULL);
    yyjson_mut_val *root = yyjson_mut_doc_get_root(copy);
    struct request request;
    request_read(by_request, yyjson_mut_obj_get(root, "a"), yyjson_mut_obj_get(root, "e"),
                 &request);
    yyjson_mut_doc_free(copy);
    yyjson_doc_free(document);
    return request;
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

static void test_all_words(void **state) {
    (void)state;
    struct request r =
        ask(true, "{}", "['KSMRUN_OCI=merge=on,layout=shared,layout-group=g.1_-,require=true']");
    assert_true(r.merge && r.layout_shared && r.require);
    assert_string_equal(r.group, "g.1_-");
    assert_string_equal(r.wrong, "");
    assert_int_equal(r.mechanism, MECHANISM_AUTO);
    r = ask(true, "{'ksmrun.mechanism':'preload'}", "['KSMRUN_OCI=mechanism=prctl']");
    assert_int_equal(r.mechanism, MECHANISM_PRELOAD);
    assert_false(r.merge);
    assert_string_equal(ask(true, "{}", "[]").group, "default");
}

static void test_annotations_have_the_last_word(void **state) {
    (void)state;
    struct request r = ask(false, "{'ksmrun.merge':'off','ksmrun.layout-group':'a'}",
                           "['KSMRUN_OCI=merge=on,layout-group=b']");
    assert_false(r.merge);
    assert_string_equal(r.group, "a");
    assert_false(ask(false, "{}", "['KSMRUN_OCI=merge=on','KSMRUN_OCI=merge=off']").merge);
}

static void test_what_is_not_understood_changes_nothing(void **state) {
    (void)state;
    static const char *const values[] = {
        "merge",          "merge=",    "merge=ON",
        "merge=on ",      "merg=on",   "layout-group=a/b",
        "layout-group=",  "require=1", "mechanism=mark",
        "layout=shared.", "=",         "layout-group=a\\nb",
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        char env[256];
        snprintf(env, sizeof env, "['KSMRUN_OCI=,%s,']", values[i]);
        struct request r = ask(true, "{}", env);
        assert_false(r.merge || r.layout_shared || r.require);
        assert_string_equal(r.group, "default");
        assert_string_not_equal(r.wrong, "");
    }
    char group[256];
    snprintf(group, sizeof group, "{'ksmrun.layout-group':'%065d'}", 0);
    assert_string_equal(ask(true, group, "[]").group, "default");
    assert_non_null(strstr(ask(true, "{'ksmrun.merg':'on'}", "[]").wrong, "merg=on"));
    /* What is none of ours, or no string. */
    assert_string_equal(ask(true, "{'a':'b','ksmrunx':'y','ksmrun.merge':1}", "[1,null]").wrong,
                        "");
    assert_false(ask(true, "['ksmrun.merge','on']", "{'KSMRUN_OCI=merge=on':'x'}").merge);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_selected_or_asked),
        cmocka_unit_test(test_all_words),
        cmocka_unit_test(test_annotations_have_the_last_word),
        cmocka_unit_test(test_what_is_not_understood_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
