/* A process of somebody else's, held by its folder of /proc: what is read belongs to it, or to
 * nobody where its number has come to another one. */
#ifndef KSMRUN_PROCESS_H
#define KSMRUN_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct process {
    pid_t pid;
    int folder;
};

/* start_ticks: when it began (proc_pid_stat(5): starttime); 0: it may be any. Returns false where
 * there is no such process (any more). */
bool process_open(struct process *process, pid_t pid, uint64_t start_ticks);

/* Of the process or of one of its threads: a letter of proc_pid_stat(5). 0: gone. */
char process_state(const struct process *process);
char thread_state(const struct process *process, pid_t tid);

/* Whether it is gone, or only what its parent has not taken notice of yet. */
bool process_has_ended(const struct process *process);
bool thread_has_ended(const struct process *process, pid_t tid);

/* Memory goes some time before the process is a zombie (kernel/exit.c: do_exit()). */
bool process_has_memory(const struct process *process);

/* Whether it stands still in a frozen cgroup (v2). */
bool thread_is_frozen(const struct process *process, pid_t tid);

/* A thread that can be stopped now: one that runs or sleeps. 0: none. */
pid_t process_thread(const struct process *process);

/* A line of a thread's status file, by its name with the colon: what stands behind it. Returns
 * false where there is none. Lines before it may be of any length (Groups). */
bool thread_field(const struct process *process, pid_t tid, const char *name, char *value,
                  size_t size);

/* The page faults that a thread has had; one for each page that it unmerges (mm/ksm.c:
 * break_ksm()).
 */
uint64_t thread_faults(const struct process *process, pid_t tid);

#endif
