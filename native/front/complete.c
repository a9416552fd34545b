#include "complete.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "candidates.h"

enum role { SUBCOMMAND, SWITCH, OPTION, ARGUMENT, REST };

/* command: its words, "" for ksmrun itself. name: of the subcommand or option. choices: with |
 * between them. kind: of the value, for candidates_print(). */
struct entry {
    const char *command;
    enum role role;
    const char *name, *choices, *kind, *help;
    bool is_many;
};

/* Made by ksmrun/options/completion.py. */
static const struct entry table[] = {
#include "completion_table.inc"
};
enum { ENTRIES = sizeof table / sizeof *table };

static bool is(const char *word, const char *other) {
    return strcmp(word, other) == 0;
}

static const struct entry *find(const char *command, const char *name, size_t length) {
    for (size_t i = 0; i < ENTRIES; i++)
        if (is(table[i].command, command) && table[i].role <= OPTION &&
            strlen(table[i].name) == length && strncmp(table[i].name, name, length) == 0)
            return &table[i];
    return NULL;
}

/* The argument at this place; the last that may repeat stands for all behind it. */
static const struct entry *argument(const char *command, int place) {
    for (size_t i = 0; i < ENTRIES; i++)
        if (is(table[i].command, command) && table[i].role >= ARGUMENT &&
            (place-- == 0 || table[i].is_many || table[i].role == REST))
            return &table[i];
    return NULL;
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
    for (size_t i = 0; i < ENTRIES; i++)
        if (is(table[i].command, command) &&
            (options ? table[i].role == SWITCH || table[i].role == OPTION
                     : table[i].role == SUBCOMMAND))
            candidates_offer("", table[i].name, table[i].help, start);
}

/* "--name=value" in one word, as shells other than bash have it. */
static bool print_joined(const char *command, const char *word) {
    const char *equals = strchr(word, '=');
    if (strncmp(word, "--", 2) != 0 || equals == NULL)
        return false;
    const struct entry *entry = find(command, word, (size_t)(equals - word));
    char prefix[128];
    snprintf(prefix, sizeof prefix, "%.*s=", (int)(equals - word), word);
    if (entry != NULL && entry->role == OPTION)
        print_values(entry, prefix, equals + 1);
    return true;
}

int complete_print(int count, char **words) {
    char command[64] = "";
    const struct entry *open = NULL; /* the option whose value comes next */
    bool no_options = false;
    int place = 0;
    const char *current = count > 0 ? words[count - 1] : "";
    for (int i = 0; i + 1 < count; i++) {
        const char *word = words[i];
        if (is(word, "=")) /* bash splits there (COMP_WORDBREAKS) */
            continue;
        if (open != NULL) {
            open = NULL;
        } else if (!no_options && is(word, "--")) {
            no_options = true;
        } else if (!no_options && word[0] == '-' && word[1] != '\0') {
            const struct entry *entry = find(command, word, strlen(word));
            open = entry != NULL && entry->role == OPTION ? entry : NULL;
        } else {
            const struct entry *entry = find(command, word, strlen(word));
            const struct entry *rest = argument(command, place);
            if (place == 0 && entry != NULL && entry->role == SUBCOMMAND) {
                size_t length = strlen(command);
                snprintf(command + length, sizeof command - length, "%s%s", length ? " " : "",
                         word);
            } else if (rest != NULL && rest->role == REST) {
                printf(":rest %d\n", i);
                return 0;
            } else {
                place++;
            }
        }
    }
    if (is(current, "="))
        current = "";
    if (open != NULL) {
        print_values(open, "", current);
        return 0;
    }
    if (!no_options && print_joined(command, current))
        return 0;
    if (!no_options && current[0] == '-') {
        print_names(command, current, true);
        return 0;
    }
    print_names(command, current, false);
    const struct entry *entry = argument(command, place);
    if (entry != NULL && entry->role == REST)
        printf(":command\n");
    else if (entry != NULL)
        print_values(entry, "", current);
    return 0;
}
