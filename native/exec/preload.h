/* LD_PRELOAD for the command, without touching the rest of the environment. */
#ifndef KSMRUN_PRELOAD_H
#define KSMRUN_PRELOAD_H

/* A copy of envp in which file stands first in LD_PRELOAD, before what was there. Order and all
 * other entries stay. Returns NULL where memory ran out. Never freed: exec takes it. */
char **preload_environment(char **envp, const char *file);

#endif
