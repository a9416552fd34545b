/* LD_PRELOAD and KSMRUN_SHIM for the command, without touching the rest of the environment. */
#ifndef KSMRUN_PRELOAD_H
#define KSMRUN_PRELOAD_H

/* A copy of envp in which file stands last in LD_PRELOAD, so that other preloaded libraries come
 * before it and reach it as they reach libc, and KSMRUN_SHIM is shim and seed, where they are not
 * NULL. Our shim where it stood before is taken out, and if file is NULL that is all. Order and all
 * other entries stay. Returns NULL where memory ran out. Never freed: exec takes it. */
char **preload_environment(char **envp, const char *file, const char *shim, const char *seed);

#endif
