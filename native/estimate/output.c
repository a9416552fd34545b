#include "output.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "yyjson/yyjson.h"

static yyjson_mut_val *frames_object(yyjson_mut_doc *json, const struct frames *frames) {
    yyjson_mut_val *object = yyjson_mut_obj(json);
    yyjson_mut_obj_add_uint(json, object, "zero", frames->zero);
    yyjson_mut_obj_add_uint(json, object, "unique", frames->is_unique);
    yyjson_mut_obj_add_uint(json, object, "equal_within", frames->equal_within);
    yyjson_mut_obj_add_uint(json, object, "equal_across", frames->equal_across);
    yyjson_mut_obj_add_uint(json, object, "volatile", frames->is_volatile);
    yyjson_mut_obj_add_real(json, object, "kept", frames->kept);
    return object;
}

static yyjson_mut_val *contents_object(yyjson_mut_doc *json, const struct contents *contents) {
    yyjson_mut_val *object = yyjson_mut_obj(json);
    yyjson_mut_obj_add_uint(json, object, "distinct", contents->distinct);
    yyjson_mut_obj_add_uint(json, object, "in_one", contents->in_one);
    yyjson_mut_obj_add_uint(json, object, "in_two", contents->in_two);
    yyjson_mut_obj_add_uint(json, object, "in_three", contents->in_three);
    return object;
}

static yyjson_mut_val *kinds_object(yyjson_mut_doc *json, const struct result *result) {
    static const char *const names[KINDS] = {"heap", "anonymous", "stack", "file"};
    yyjson_mut_val *kinds = yyjson_mut_obj(json);
    for (int i = 0; i < KINDS; i++) {
        const struct kind_tally *tally = &result->tally->kinds[i];
        yyjson_mut_val *object = yyjson_mut_obj(json);
        yyjson_mut_obj_add_uint(json, object, "pages", tally->pages);
        yyjson_mut_obj_add_uint(json, object, "frames", tally->frames);
        yyjson_mut_obj_add_val(json, object, "plain", frames_object(json, &tally->plain));
        if (result->look->with_layout)
            yyjson_mut_obj_add_val(json, object, "layout", frames_object(json, &tally->by_layout));
        yyjson_mut_obj_add_val(json, kinds, names[i], object);
    }
    return kinds;
}

static yyjson_mut_val *process_object(yyjson_mut_doc *json, const struct result *result,
                                      size_t number) {
    const struct process *process = &result->processes[number];
    const struct process_tally *tally = &result->tally->processes[number];
    yyjson_mut_val *object = yyjson_mut_obj(json);
    yyjson_mut_obj_add_int(json, object, "pid", process->pid);
    if (process->result != 0) {
        yyjson_mut_obj_add_int(json, object, "errno", -process->result);
        return object;
    }
    yyjson_mut_obj_add_uint(json, object, "pages", tally->pages);
    yyjson_mut_obj_add_uint(json, object, "frames", tally->frames);
    yyjson_mut_obj_add_uint(json, object, "swapped_pages", process->swapped_pages);
    yyjson_mut_obj_add_val(json, object, "plain", contents_object(json, &tally->plain));
    if (result->look->with_layout)
        yyjson_mut_obj_add_val(json, object, "layout", contents_object(json, &tally->by_layout));
    return object;
}

/* Peak memory of this program alone: getrusage(2) includes the peak before the exec. 0: not
 * available. */
static uint64_t peak_bytes(void) {
    char text[4096];
    int status = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    ssize_t size = status < 0 ? -1 : read(status, text, sizeof text - 1);
    if (status >= 0)
        close(status);
    text[size < 0 ? 0 : size] = '\0';
    const char *peak = strstr(text, "VmHWM:");
    return peak == NULL ? 0 : strtoull(peak + sizeof "VmHWM:" - 1, NULL, 10) * 1024;
}

bool output_write(const struct result *result) {
    yyjson_mut_doc *json = yyjson_mut_doc_new(NULL);
    if (json == NULL)
        return false;
    yyjson_mut_val *root = yyjson_mut_obj(json), *processes = yyjson_mut_arr(json);
    yyjson_mut_doc_set_root(json, root);
    yyjson_mut_obj_add_uint(json, root, "page_bytes", page_bytes());
    yyjson_mut_obj_add_bool(json, root, "frames_known", result->look->frames_are_known);
    yyjson_mut_obj_add_uint(json, root, "untouched_pages", result->look->zero_frame_pages);
    yyjson_mut_obj_add_uint(json, root, "read_pages", result->look->read_pages);
    yyjson_mut_obj_add_real(json, root, "read_seconds", result->read_seconds);
    yyjson_mut_obj_add_real(json, root, "volatile_after_seconds", result->volatile_after_seconds);
    yyjson_mut_obj_add_val(json, root, "kinds", kinds_object(json, result));
    for (size_t i = 0; i < result->process_count; i++)
        yyjson_mut_arr_append(processes, process_object(json, result, i));
    yyjson_mut_obj_add_val(json, root, "processes", processes);
    yyjson_mut_obj_add_uint(json, root, "own_peak_bytes", peak_bytes());
    /* If there was no memory for a part, it is missing, and the reader reports that. */
    char *text = yyjson_mut_write(json, YYJSON_WRITE_NOFLAG, NULL);
    bool is_written = text != NULL && puts(text) >= 0 && fflush(stdout) == 0;
    free(text);
    yyjson_mut_doc_free(json);
    return is_written;
}
