#include "complete.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "candidates.h"

enum role { SUBCOMMAND, SWITCH, OPTION, ARGUMENT, REST };

/* command: its words, "" for ksmrun itself. name: of the subcommand or option. choices: separated
 * by |. kind: of the value, for candidates_print(). */
struct entry {
    const char *command;
    enum role role;
    const char *name, *choices, *kind, *help;
    bool is_many;
};

/* Rows of a role's number, "+" for is_many or "-", and five texts, each with its NUL, as
 * ksmrun/options/completion.py generates them. They contain no pointers: 2,000 of them to relocate
 * would take a tenth of the time of each `ksmrun run`. */
static const char table[] = {
#include "completion_table.inc"
};

static const char *take_text(const char **at) {
    const char *text = *at;
    *at += strlen(text) + 1;
    return text;
}

/* at: NULL for the first row. Returns false after the last. */
static bool next(const char **at, struct entry *entry) {
    *at = *at == NULL ? table : *at;
    if (**at == '\0')
        return false;
    entry->role = (enum role)((*at)[0] - '0');
    entry->is_many = (*at)[1] == '+';
    *at += 2;
    entry->command = take_text(at);
    entry->name = take_text(at);
    entry->choices = take_text(at);
    entry->kind = take_text(at);
    entry->help = take_text(at);
    return true;
}

static bool is(const char *word, const char *other) {
    return strcmp(word, other) == 0;
}

static bool find(const char *command, const char *name, size_t length, struct entry *entry) {
    for (const char *at = NULL; next(&at, entry);)
        if (is(entry->command, command) && entry->role <= OPTION && strlen(entry->name) == length &&
            strncmp(entry->name, name, length) == 0)
            return true;
    return false;
}

/* Argument at this place; a repeatable last one stands for all that follow. */
static bool argument(const char *command, int place, struct entry *entry) {
    for (const char *at = NULL; next(&at, entry);)
        if (is(entry->command, command) && entry->role >= ARGUMENT &&
            (place-- == 0 || entry->is_many || entry->role == REST))
            return true;
    return false;
}

static void print_values(const struct entry *entry, const char *prefix, const char *start) {
    char choice[64];
    const char *each = entry->choices;
    while (*each != '\0') {
        size_t length = strcspn(each, "|");
        snprintf(choice, sizeof choice, "%.*s", (int)length, each);
        candidates_offer(prefix, choice, "", start);
        each += length + (each[length] == '|');
    }
    if (*entry->choices == '\0' && !candidates_print(entry->kind, prefix, start))
        printf(":%s\n", entry->kind);
}

static void print_names(const char *command, const char *start, bool options) {
    struct entry entry;
    for (const char *at = NULL; next(&at, &entry);)
        if (is(entry.command, command) &&
            (options ? entry.role == SWITCH || entry.role == OPTION : entry.role == SUBCOMMAND))
            candidates_offer("", entry.name, entry.help, start);
}

/* "--name=value" in one word, as shells other than bash pass it. */
static bool print_joined(const char *command, const char *word) {
    const char *equals = strchr(word, '=');
    if (strncmp(word, "--", 2) != 0 || equals == NULL)
        return false;
    struct entry entry;
    char prefix[128];
    snprintf(prefix, sizeof prefix, "%.*s=", (int)(equals - word), word);
    if (find(command, word, (size_t)(equals - word), &entry) && entry.role == OPTION)
        print_values(&entry, prefix, equals + 1);
    return true;
}

int complete_print(int count, char **words) {
    char command[64] = "";
    struct entry open, entry, rest;
    bool is_open = false; /* the value of the option open comes next */
    bool no_options = false;
    int place = 0;
    const char *current = count > 0 ? words[count - 1] : "";
    for (int i = 0; i + 1 < count; i++) {
        const char *word = words[i];
        if (is(word, "=")) /* bash splits there (COMP_WORDBREAKS) */
            continue;
        if (is_open) {
            is_open = false;
        } else if (!no_options && is(word, "--")) {
            no_options = true;
        } else if (!no_options && word[0] == '-' && word[1] != '\0') {
            is_open = find(command, word, strlen(word), &open) && open.role == OPTION;
        } else {
            bool is_rest = argument(command, place, &rest) && rest.role == REST;
            if (place == 0 && find(command, word, strlen(word), &entry) &&
                entry.role == SUBCOMMAND) {
                size_t length = strlen(command);
                snprintf(command + length, sizeof command - length, "%s%s", length ? " " : "",
                         word);
            } else if (is_rest) {
                printf(":rest %d\n", i);
                return 0;
            } else {
                place++;
            }
        }
    }
    if (is(current, "="))
        current = "";
    if (is_open) {
        print_values(&open, "", current);
        return 0;
    }
    if (!no_options && print_joined(command, current))
        return 0;
    if (!no_options && current[0] == '-') {
        print_names(command, current, true);
        return 0;
    }
    print_names(command, current, false);
    bool is_found = argument(command, place, &entry);
    if (is_found && entry.role == REST)
        printf(":command\n");
    else if (is_found)
        print_values(&entry, "", current);
    return 0;
}
