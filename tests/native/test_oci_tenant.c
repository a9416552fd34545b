#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy.h"
#include "tenant.h"

static char folder[] = "/tmp/ksmrun-test-XXXXXX";

static int enter(void **state) {
    (void)state;
    return mkdtemp(folder) == NULL || chdir(folder) != 0;
}

static int leave(void **state) {
    (void)state;
    unlink("oci.json");
    return chdir("/") != 0 || rmdir(folder) != 0;
}

static yyjson_mut_doc *read_text(const char *text) {
    char json[2048];
    snprintf(json, sizeof json, "%s", text);
    for (char *c = json; *c != '\0'; c++)
        *c = *c == '\'' ? '"' : *c;
    yyjson_doc *document = yyjson_read(json, strlen(json), YYJSON_READ_NUMBER_AS_RAW);
    assert_non_null(document);
    yyjson_mut_doc *copy = yyjson_doc_mut_copy(document, NULL);
    yyjson_doc_free(document);
    return copy;
}

/* Scope from annotations, as JSON with ' for "; "" if there is none. */
static const char *scope(const char *annotations) {
    static char found[SCOPE_BYTES];
    char text[1024], obstacle[OBSTACLE_BYTES];
    struct image image = {.count = 0};
    struct tenant tenant;
    snprintf(text, sizeof text, "{'annotations':%s}", annotations);
    yyjson_mut_doc *document = read_text(text);
    bool is_known = tenant_read(yyjson_mut_doc_get_root(document), &image, &tenant, obstacle);
    found[0] = '\0';
    if (is_known)
        tenant_scope(&tenant, found);
    yyjson_mut_doc_free(document);
    return found;
}

#define CONTAINERD "'io.kubernetes.cri.container-type':'container'"
#define IN(namespace) "'io.kubernetes.cri.sandbox-namespace':'" namespace "'"
#define CRI_O "'io.kubernetes.cri-o.Labels':'{}'"
#define CRI_O_IN(namespace) "'io.kubernetes.cri-o.Namespace':'" namespace "'"

static void test_scopes(void **state) {
    (void)state;
    static const char host[] = "containers of the host", shop[] = "containers of Kubernetes/shop";
    assert_string_equal(scope("{}"), host);
    assert_string_equal(scope("null"), host);
    /* Podman's own. */
    assert_string_equal(scope("{'io.kubernetes.cri-o.TTY':'false'}"), host);
    assert_string_equal(scope("{" CONTAINERD "," IN("shop") "}"), shop);
    assert_string_equal(scope("{" CRI_O "," CRI_O_IN("shop") "}"), shop);
    assert_string_not_equal(scope("{" CRI_O "," CRI_O_IN("shop2") "}"), shop);
    /* An older version, or annotations that a pod's author added for another engine. */
    assert_string_equal(scope("{" CONTAINERD "}"), "");
    assert_string_equal(scope("{" CRI_O "," IN("shop") "}"), "");
    assert_string_equal(scope("{" CRI_O "," CRI_O_IN("mine") "," IN("shop") "}"), "");
    assert_string_equal(scope("{" IN("shop") "," IN("mine") "}"), "");
    assert_string_equal(scope("{" IN("") "}"), "");
    assert_string_equal(scope("{" CONTAINERD "," IN("shop\\u0000x") "}"), "");
}

/* Host UID of a user; -1: none. */
static long maps(const char *linux_part, unsigned long long user) {
    char json[512];
    unsigned mapped;
    snprintf(json, sizeof json, "{'linux':%s}", linux_part);
    yyjson_mut_doc *document = read_text(json);
    bool is_mapped = tenant_map_user(yyjson_mut_doc_get_root(document), user, &mapped);
    yyjson_mut_doc_free(document);
    return is_mapped ? (long)mapped : -1;
}

static void test_users_of_a_user_namespace(void **state) {
    (void)state;
    static const char mappings[] =
        "{'uidMappings':[{'containerID':0,'hostID':1000,'size':1},"
        "{'containerID':1,'hostID':100000,'size':65535},{'containerID':9,'hostID':-5,'size':9}]}";
    assert_int_equal(maps("{}", 7), 7);
    assert_int_equal(maps("{'uidMappings':[]}", 7), 7);
    assert_int_equal(maps(mappings, 0), 1000);
    assert_int_equal(maps(mappings, 1), 100000);
    assert_int_equal(maps(mappings, 65535), 165534);
    assert_int_equal(maps(mappings, 65536), -1);
    /* Another's namespace, whose mapping is unknown. */
    assert_int_equal(maps("{'namespaces':[{'type':'user','path':'/proc/1/ns/user'}]}", 0), -1);
    assert_int_equal(maps("{'uidMappings':[{'containerID':0,'hostID':4294967295,'size':9}]}", 1),
                     -1);
}

static void put(const char *text) {
    unlink("oci.json");
    FILE *file = fopen("oci.json", "w");
    assert_non_null(file);
    for (; *text != '\0'; text++)
        assert_true(fputc(*text == '\'' ? '"' : *text, file) != EOF);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod("oci.json", 0644), 0);
}

static bool opens(const char *group, const char *namespace, const char *image_name, unsigned user) {
    char path[64], obstacle[OBSTACLE_BYTES];
    struct policy policy;
    struct image image = {.count = 0};
    struct tenant tenant = {.image = image_name, .user = user};
    snprintf(tenant.namespace, sizeof tenant.namespace, "%s", namespace);
    snprintf(path, sizeof path, "%s/oci.json", folder);
    policy_load(path, &policy, obstacle);
    bool result = policy_opens(&policy, group, &tenant, &image);
    policy_free(&policy);
    return result;
}

static void test_groups(void **state) {
    (void)state;
    unlink("oci.json");
    assert_true(opens("any", "", NULL, 0));
    put("{'groups':{'all':{},'shop':{'namespaces':['shop','shop-*']},'image':{'images':['r/*']},"
        "'users':{'users':[100000]},'none':{'users':[]},"
        "'two':{'namespaces':['shop'],'users':[5]}}}");
    assert_true(opens("all", "", NULL, 0));
    assert_false(opens("any", "", NULL, 0));
    assert_true(opens("shop", "shop", NULL, 0) && opens("shop", "shop-2", NULL, 0));
    assert_false(opens("shop", "", NULL, 0) || opens("shop", "workshop", NULL, 0));
    assert_true(opens("image", "", "r/x:1", 0));
    assert_false(opens("image", "", NULL, 0) || opens("image", "", "x/r/x", 0));
    assert_true(opens("users", "", NULL, 100000));
    assert_false(opens("users", "", NULL, 0) || opens("none", "", NULL, 0));
    assert_true(opens("two", "shop", NULL, 5));
    assert_false(opens("two", "shop", NULL, 6) || opens("two", "other", NULL, 5));
}

static bool opens_domain(const char *text, const char *domain, const char *namespace) {
    char path[64], obstacle[OBSTACLE_BYTES];
    struct policy policy;
    struct image image = {.count = 0};
    struct tenant tenant = {.user = 0};
    put(text);
    snprintf(tenant.namespace, sizeof tenant.namespace, "%s", namespace);
    snprintf(path, sizeof path, "%s/oci.json", folder);
    policy_load(path, &policy, obstacle);
    bool result = policy_opens_domain(&policy, domain, &tenant, &image);
    policy_free(&policy);
    return result;
}

/* Unlike groups, domains are open only if the operator says so. */
static void test_domains(void **state) {
    (void)state;
    assert_false(opens_domain("{}", "web", ""));
    assert_false(opens_domain("{'groups':{'web':{}}}", "web", ""));
    assert_true(opens_domain("{'domains':{'web':{}}}", "web", ""));
    assert_false(opens_domain("{'domains':{'web':{}}}", "mail", ""));
    assert_true(opens_domain("{'domains':{'web':{'namespaces':['shop']}}}", "web", "shop"));
    assert_false(opens_domain("{'domains':{'web':{'namespaces':['shop']}}}", "web", "other"));
    assert_false(opens_domain("{'domains':{'web':{'users':['x']}}}", "web", ""));
    assert_false(opens_domain("{'domains':{'web':{}},'unknown':1}", "web", ""));
    unlink("oci.json");
}

/* A damaged configuration opens nothing. */
static void test_damaged_configurations(void **state) {
    (void)state;
    static const char *const texts[] = {
        "",
        "[]",
        "{",
        "{'group':{}}",
        "{'groups':[]}",
        "{'groups':{'a':[]}}",
        "{'groups':{'a':{'namespace':['x']}}}",
        "{'groups':{'a':{'namespaces':'x'}}}",
        "{'groups':{'a':{'users':['x']}}}",
        "{'environment':'on'}",
        "{'request':1}",
    };
    char path[64], obstacle[OBSTACLE_BYTES];
    struct policy policy;
    snprintf(path, sizeof path, "%s/oci.json", folder);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        put(texts[i]);
        assert_false(policy_load(path, &policy, obstacle));
        assert_string_not_equal(obstacle, "");
        assert_null(policy.request);
        assert_false(policy.heeds_image);
        policy_free(&policy);
        assert_false(opens("a", "", NULL, 0));
    }
    put("{'environment':true,'request':'merge=on','groups':{}}");
    assert_true(policy_load(path, &policy, obstacle));
    assert_true(policy.heeds_image);
    assert_string_equal(policy.request, "merge=on");
    policy_free(&policy);
    assert_int_equal(chmod("oci.json", 0666), 0);
    assert_false(policy_load(path, &policy, obstacle));
    assert_false(policy.heeds_image);
    policy_free(&policy);
    if (geteuid() == 0) {
        assert_int_equal(chmod("oci.json", 0644), 0);
        assert_int_equal(chown("oci.json", 12, 34), 0);
        assert_false(policy_load(path, &policy, obstacle));
        policy_free(&policy);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scopes),
        cmocka_unit_test(test_users_of_a_user_namespace),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_domains),
        cmocka_unit_test(test_damaged_configurations),
    };
    return cmocka_run_group_tests(tests, enter, leave);
}
