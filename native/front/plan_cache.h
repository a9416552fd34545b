/* Starts `ksmrun run` without Python where Python has decided before how this program starts.
 *
 * Python writes the plan of this boot to a file of its user's (ksmrun/launch/plan_cache.py), if it
 * does not depend on the program, and one for each program with --layout=shared. Everything else is
 * planned by Python: other options, any variable KSMRUN_*, and names that the file lists, as those
 * of clients of a daemon. */
#ifndef KSMRUN_FRONT_PLAN_CACHE_H
#define KSMRUN_FRONT_PLAN_CACHE_H

/* Becomes ksmrun-exec, or returns where Python has to plan: a file that is missing, damaged, stale,
 * of another version or of somebody else is ignored. words: those after "ksmrun". */
void plan_cache_start(char **words);

#endif
