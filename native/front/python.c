#include "python.h"

#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../common/child.h"

/* posix and the functions here are built into Python, and need no file. */
const char python_guarded[] =
    "import sys, posix\n"
    "_front, *sys.argv = sys.argv[1:]\n"
    "_words = [_front, '--front=start', '', *sys.argv[1:]]\n"
    "try:\n"
    "    with open(sys.argv[0], 'rb') as _file:\n"
    "        _text = _file.read()\n"
    "    exec(compile(_text, sys.argv[0], 'exec'))\n"
    "except Exception as _error:\n"
    "    if _words[4:5] != ['run'] and not isinstance(_error, (ImportError, SyntaxError)):\n"
    "        raise\n"
    "    try:\n"
    "        _why = f'{type(_error).__name__}: {_error}'[:200]\n"
    "        _words[2] = ''.join(\n"
    "            c if ' ' <= c <= '~' else '?' for c in _why)\n"
    "    except Exception:\n"
    "        pass  # as without memory: it starts without a reason\n"
    "    posix.execv(_front, _words)\n";

/* pip moves a path with blanks, or a long one, to the second line: '''exec' "/a path/python" "$0"
 * "$@". */
bool python_of_script(const char *script, char *interpreter, size_t size) {
    static const char shell_lines[] = "#!/bin/sh\n'''exec' ";
    char head[2 * PATH_MAX];
    FILE *file = fopen(script, "re");
    size_t length = file != NULL ? fread(head, 1, sizeof head - 1, file) : 0;
    if (file != NULL)
        fclose(file);
    head[length] = '\0';
    const char *start = head + 2, *end_marks = " \t\r\n";
    if (strncmp(head, shell_lines, sizeof shell_lines - 1) == 0) {
        start = head + sizeof shell_lines - 1;
        if (*start == '"' || *start == '\'')
            end_marks = *start++ == '"' ? "\"\n" : "'\n";
    } else if (strncmp(head, "#!", 2) != 0) {
        return false;
    }
    size_t bytes = strcspn(start, end_marks);
    if (*start != '/' || bytes >= size)
        return false;
    memcpy(interpreter, start, bytes);
    interpreter[bytes] = '\0';
    /* A shell here means an unknown form. */
    return strcmp(interpreter, "/bin/sh") != 0;
}

/* Removes the last component of a path. */
static bool cut_name(char *path) {
    char *slash = strrchr(path, '/');
    if (slash == NULL)
        return false;
    *slash = '\0';
    return true;
}

/* Folder of the Python from which a virtual environment was made (docs.python.org: venv). */
static bool read_home(const char *interpreter, char *home, size_t size) {
    char path[PATH_MAX + sizeof "/pyvenv.cfg"];
    snprintf(path, PATH_MAX, "%s", interpreter);
    if (!cut_name(path) || !cut_name(path))
        return false;
    strcat(path, "/pyvenv.cfg");
    FILE *file = fopen(path, "re");
    bool is_found = false;
    for (char line[PATH_MAX + 16]; file != NULL && !is_found && fgets(line, sizeof line, file);) {
        char *value = strncmp(line, "home", 4) == 0 ? strchr(line, '/') : NULL;
        is_found = value != NULL && strlen(value) < size;
        if (is_found) {
            value[strcspn(value, "\r\n")] = '\0';
            strcpy(home, value);
        }
    }
    if (file != NULL)
        fclose(file);
    return is_found;
}

/* bin: folder of an interpreter; name: its file's, which contains the version if it has one. */
static bool has_library(const char *bin, const char *name) {
    static const char versioned[] = "python3.";
    char pattern[PATH_MAX + NAME_MAX + sizeof "/../lib*//encodings/__init__.py*"];
    bool has_version = strncmp(name, versioned, sizeof versioned - 1) == 0;
    snprintf(pattern, sizeof pattern, "%s/../lib*/%s/encodings/__init__.py*", bin,
             has_version ? name : "python3.*");
    glob_t found;
    bool has_any = glob(pattern, GLOB_NOSORT, NULL, &found) == 0;
    globfree(&found);
    return has_any;
}

static bool try_start(const char *interpreter) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return true;
    pid_t child = child_fork();
    if (child == 0) {
        int nothing = open("/dev/null", O_RDWR | O_NONBLOCK);
        dup2(nothing, STDIN_FILENO);
        dup2(nothing, STDERR_FILENO);
        dup2(ends[1], STDOUT_FILENO);
        execl(interpreter, interpreter, "-E", "-P", "-c", "print(1)", (char *)NULL);
        _exit(1);
    }
    close(ends[1]);
    char answer;
    /* Reads instead of waiting: the caller may ignore SIGCHLD. */
    bool is_started = child < 0 || read(ends[0], &answer, 1) == 1;
    close(ends[0]);
    if (child > 0)
        child_wait(child);
    return is_started;
}

bool python_gets_libraries(void) {
    static const char *const names[] = {"LD_LIBRARY_PATH", "LD_PRELOAD", "LD_AUDIT"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = getenv(names[i]);
        if (value != NULL && *value != '\0')
            return true;
    }
    return false;
}

bool python_starts(const char *interpreter) {
    char real[PATH_MAX], home[PATH_MAX];
    /* Only ld.so knows whether they suit it. */
    if (python_gets_libraries())
        return try_start(interpreter);
    if (realpath(interpreter, real) == NULL)
        return true;
    char name[NAME_MAX + 1];
    snprintf(name, sizeof name, "%s", strrchr(real, '/') + 1);
    if (read_home(interpreter, home, sizeof home) && has_library(home, name))
        return true;
    return (cut_name(real) && has_library(real, name)) || try_start(interpreter);
}
