/* The command lines of ksmrun-exec and ksmrun-oci: words that end with NUL. */
#include "fuzz.h"

#include "arguments.h"
#include "options.h"

static bool points_into(const char *word, char **words, int count) {
    for (int i = 0; i < count; i++)
        if (word >= words[i] && word <= words[i] + strlen(words[i]))
            return true;
    return word == NULL;
}

static void parse_oci(char **words, int count) {
    struct arguments arguments;
    arguments_parse(words, &arguments);
    PROMISE(arguments.first >= 0 && arguments.first <= count);
    PROMISE(arguments.exec_words >= 0 && arguments.exec_words <= count);
    PROMISE(points_into(arguments.bundle, words, count));
    PROMISE(points_into(arguments.process, words, count));
    PROMISE(points_into(arguments.id, words, count));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *words[65], *mixed[65], error[256] = "";
    char *text = fuzz_text(data, size);
    int count = fuzz_words(text, size, words);
    struct options options;
    /* getopt may put words into another order. */
    memcpy(mixed, words, sizeof mixed);
    bool is_good = options_parse(count, mixed, &options, error, sizeof error);
    PROMISE(memchr(error, '\0', sizeof error) != NULL && is_good == (error[0] == '\0'));
    if (is_good && options.action == ACTION_RUN)
        PROMISE(options.command > mixed && options.command < mixed + count);
    if (is_good)
        PROMISE(points_into(options.preload, words, count) &&
                points_into(options.shim, words, count));
    if (count > 0)
        parse_oci(words, count);
    free(text);
    return 0;
}
