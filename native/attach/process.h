/* Another user's process, held by its /proc folder: what is read belongs to it, or to nobody if its
 * PID has been reused. */
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

/* start_ticks: its start time (proc_pid_stat(5): starttime); 0: any. Returns false if there is no
 * such process (any more). */
bool process_open(struct process *process, pid_t pid, uint64_t start_ticks);

/* State of the process or of one of its threads: a letter of proc_pid_stat(5). 0: gone. */
char process_state(const struct process *process);
char thread_state(const struct process *process, pid_t tid);

/* Returns whether it is gone, or a zombie that its parent has not reaped. */
bool process_has_ended(const struct process *process);
bool thread_has_ended(const struct process *process, pid_t tid);

/* Memory goes some time before the process is a zombie (kernel/exit.c: do_exit()). */
bool process_has_memory(const struct process *process);

/* Returns whether it is stopped by a frozen cgroup (v2). */
bool thread_is_frozen(const struct process *process, pid_t tid);

/* A thread that can be stopped now: one that runs or sleeps. 0: none. */
pid_t process_thread(const struct process *process);

/* Reads the value of a line of a thread's status file, by its name with the colon. Returns false if
 * there is none. Lines before it may be of any length (Groups). */
bool thread_field(const struct process *process, pid_t tid, const char *name, char *value,
                  size_t size);

/* Number of page faults of a thread; there is one for each page that it unmerges (mm/ksm.c:
 * break_ksm()). */
uint64_t thread_faults(const struct process *process, pid_t tid);

/* Returns whether a thread could run and has had no CPU since the last call with the same counter,
 * to within a clock tick. The counter starts at 0, for which there is no last call. */
bool thread_lacks_cpu(const struct process *process, pid_t tid, uint64_t *ticks);

#endif
