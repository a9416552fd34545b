#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "domain.h"
#include "procfile.h"
#include "trust.h"

static const char boot[] = "0a1b2c3d-0000-4000-8000-000000000001";
static char reason[REASON_BYTES], holder[DOMAIN_BYTES];

#define LONGEST "a23456789012345678901234567890123456789012345678901234567890123"
#define HEAD "ksmrun-trust 1\nboot 0a1b2c3d-0000-4000-8000-000000000001\n"

static enum trust_state parse(const char *text, size_t length) {
    enum trust_state state = trust_parse(text, length, boot, holder);
    /* Nothing is granted by what is not understood. */
    assert_true(state == TRUST_KNOWN || holder[0] == '\0');
    return state;
}

static void test_names(void **state) {
    (void)state;
    static const char *const good[] = {"a", "9", "web", "web-1", "a-", LONGEST};
    static const char *const bad[] = {"",     "-",   "-a",      "Web",  "a_b",       "a b",  "a\n",
                                      "a/..", "a.b", "caf\xe9", "\x7f", LONGEST "4", "a\x80"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(trust_is_name(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(trust_is_name(bad[i]));
}

static void test_states(void **state) {
    (void)state;
#define EXPECT(expected, text) assert_int_equal(parse(text, sizeof text - 1), expected)
    EXPECT(TRUST_KNOWN, HEAD "domain web\n");
    assert_string_equal(holder, "web");
    EXPECT(TRUST_KNOWN, HEAD "domain " LONGEST "\n");
    EXPECT(TRUST_KNOWN, HEAD "domain -\n");
    assert_string_equal(holder, "");

    EXPECT(TRUST_DAMAGED, "");
    EXPECT(TRUST_DAMAGED, "\n");
    EXPECT(TRUST_DAMAGED, HEAD);
    EXPECT(TRUST_DAMAGED, HEAD "domain web");
    EXPECT(TRUST_DAMAGED, HEAD "domain \n");
    EXPECT(TRUST_DAMAGED, HEAD "domain Web\n");
    EXPECT(TRUST_DAMAGED, HEAD "domain web \n");
    EXPECT(TRUST_DAMAGED, HEAD "domain web\ndomain mail\n");
    EXPECT(TRUST_DAMAGED, HEAD "domain web\n\n");
    EXPECT(TRUST_DAMAGED, HEAD "domain we\0b\n");
    EXPECT(TRUST_DAMAGED, HEAD "domain web\n\0");
    EXPECT(TRUST_DAMAGED, HEAD "domain " LONGEST "4\n");
    EXPECT(TRUST_DAMAGED, HEAD HEAD "domain web\n");
    EXPECT(TRUST_DAMAGED, "ksmrun-trust 1\ndomain web\n");
    EXPECT(TRUST_DAMAGED, "ksmrun-trust 12345678901234567\n");

    EXPECT(TRUST_OTHER_FORMAT, "ksmrun-trust 2\nanything\n");
    EXPECT(TRUST_OTHER_FORMAT, "ksmrun-trust 1 \n");
    EXPECT(TRUST_OTHER_BOOT, "ksmrun-trust 1\nboot 0a1b2c3d-0000-4000-8000-000000000002\n"
                             "domain web\n");
    EXPECT(TRUST_OTHER_BOOT, "ksmrun-trust 1\nboot \ndomain web\n");
#undef EXPECT
}

/* A folder as root makes it, with the state of this boot. */
struct place {
    char folder[32], lock[48], state[48];
};

static void write_state(const struct place *place, const char *text) {
    FILE *file = fopen(place->state, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(place->state, 0644), 0);
}

static int make_place(void **state) {
    static struct place place;
    char text[256], id[64];
    snprintf(place.folder, sizeof place.folder, "/tmp/test_domain.XXXXXX");
    assert_non_null(mkdtemp(place.folder));
    assert_int_equal(chmod(place.folder, 0755), 0);
    snprintf(place.lock, sizeof place.lock, "%s/lock", place.folder);
    snprintf(place.state, sizeof place.state, "%s/state", place.folder);
    int lock = open(place.lock, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    assert_true(lock >= 0);
    close(lock);
    assert_true(procfile_read("/proc/sys/kernel/random/boot_id", id, sizeof id) > 0);
    snprintf(text, sizeof text, "ksmrun-trust 1\nboot %sdomain web\n", id);
    write_state(&place, text);
    *state = &place;
    return 0;
}

static int remove_place(void **state) {
    const struct place *place = *state;
    (void)unlink(place->lock);
    (void)rmdir(place->lock);
    (void)unlink(place->state);
    return rmdir(place->folder);
}

static void assert_refused(const struct place *place, const char *name, const char *why) {
    assert_int_equal(domain_enter(place->folder, name, reason), -1);
    assert_non_null(strchr(reason, ';'));
    if (strstr(reason, why) == NULL)
        fail_msg("'%s' does not contain '%s'", reason, why);
}

/* Returns whether the launch of the domain goes on, in a process of its own, which ends. */
static bool enters(const struct place *place, const char *name) {
    pid_t child = fork();
    if (child == 0)
        _exit(domain_enter(place->folder, name, reason) == 0 ? 0 : 1);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void test_enters(void **state) {
    enum { DESCRIPTORS = 64 };
    const struct place *place = *state;
    if (geteuid() != 0)
        skip();
    int other = open(place->lock, O_RDONLY | O_CLOEXEC);
    pid_t child = fork();
    if (child == 0) {
        bool was_open[DESCRIPTORS], is_closed_by_exec = true;
        for (int i = 0; i < DESCRIPTORS; i++)
            was_open[i] = fcntl(i, F_GETFD) >= 0;
        bool is_held = domain_enter(place->folder, "web", reason) == 0;
        /* Others share it, and nobody has it alone. */
        bool is_shared =
            flock(other, LOCK_EX | LOCK_NB) != 0 && flock(other, LOCK_SH | LOCK_NB) == 0;
        for (int i = 0; i < DESCRIPTORS; i++) {
            int flags = was_open[i] ? -1 : fcntl(i, F_GETFD);
            is_closed_by_exec = is_closed_by_exec && (flags < 0 || (flags & FD_CLOEXEC) != 0);
        }
        _exit(is_held && is_shared && is_closed_by_exec ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(flock(other, LOCK_EX | LOCK_NB), 0);
    close(other);
    assert_refused(place, "mail", "domain web merges on this host, and not mail");
}

static void test_foreign_files(void **state) {
    struct place *place = *state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(chmod(place->state, 0664), 0);
    assert_refused(place, "web", "state is not a regular file that only root can write");
    assert_int_equal(chmod(place->state, 0644), 0);
    assert_int_equal(chown(place->state, 65534, 0), 0);
    assert_refused(place, "web", "only root");
    assert_int_equal(chown(place->state, 0, 0), 0);
    assert_int_equal(chown(place->lock, 1000, 0), 0);
    assert_refused(place, "web", "lock is not a regular file");
    assert_int_equal(chown(place->lock, 0, 0), 0);
    assert_int_equal(chmod(place->folder, 0777), 0);
    assert_refused(place, "web", "not a folder that only root can write to");
    assert_int_equal(chmod(place->folder, 0755), 0);
    assert_true(enters(place, "web"));
}

static void test_other_kinds_of_files(void **state) {
    struct place *place = *state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(unlink(place->state), 0);
    assert_refused(place, "web", "No such file");
    assert_int_equal(mkfifo(place->state, 0644), 0);
    assert_refused(place, "web", "not a regular file");
    assert_int_equal(unlink(place->state), 0);
    assert_int_equal(symlink("/etc/passwd", place->state), 0);
    assert_refused(place, "web", "symbolic link");
    assert_int_equal(unlink(place->state), 0);
    write_state(place, "");
    assert_refused(place, "web", "damaged");
    /* As sparse as it is, it is not read beyond the limit. */
    assert_int_equal(truncate(place->state, (off_t)1 << 40), 0);
    assert_refused(place, "web", "damaged");
    assert_int_equal(unlink(place->lock), 0);
    assert_refused(place, "web", "lock: No such file");
    assert_int_equal(mkdir(place->lock, 0755), 0);
    assert_refused(place, "web", "lock is not a regular file");
}

static void test_folders(void **state) {
    struct place link = {.folder = "/tmp/test_domain.link"};
    const struct place *place = *state;
    const struct place none = {.folder = "/tmp/test_domain.none"};
    if (geteuid() != 0)
        skip();
    assert_refused(&none, "web", "no domain may merge on this host yet");
    (void)unlink(link.folder);
    assert_int_equal(symlink(place->folder, link.folder), 0);
    assert_refused(&link, "web", "run `sudo ksmrun trust check`");
    assert_int_equal(unlink(link.folder), 0);
}

/* Whoever keeps the lock costs others the bounded wait, and is named. */
static void test_a_held_lock(void **state) {
    const struct place *place = *state;
    if (geteuid() != 0)
        skip();
    char who[32];
    int other = open(place->lock, O_RDONLY | O_CLOEXEC);
    assert_int_equal(flock(other, LOCK_EX | LOCK_NB), 0);
    snprintf(who, sizeof who, "PID %d holds", getpid());
    assert_refused(place, "web", "holds the lock of the trust domains");
    /* overlayfs and others give stat(2) another device than /proc/locks. */
    if (strstr(reason, "another process holds") == NULL)
        assert_non_null(strstr(reason, who));
    close(other);
    assert_true(enters(place, "web"));
}

int main(void) {
#define PLACED(test) cmocka_unit_test_setup_teardown(test, make_place, remove_place)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names), cmocka_unit_test(test_states),     PLACED(test_enters),
        PLACED(test_foreign_files),   PLACED(test_other_kinds_of_files), PLACED(test_folders),
        PLACED(test_a_held_lock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
