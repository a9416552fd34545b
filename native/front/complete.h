/* Completion of a command line, from a table that is generated from ksmrun/options. */
#ifndef KSMRUN_FRONT_COMPLETE_H
#define KSMRUN_FRONT_COMPLETE_H

/* words: all after "ksmrun" up to the cursor; the last is the one to complete, or empty. Prints a
 * value, a tab and a description on each line. A line ":file", ":folder" or ":command" asks the
 * shell to complete these itself, ":rest N" to continue as if the command line began at word N of
 * words. */
int complete_print(int count, char **words);

#endif
