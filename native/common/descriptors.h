/* Closes descriptors in processes that run beside the program: they must hold none of its own. */
#ifndef KSMRUN_DESCRIPTORS_H
#define KSMRUN_DESCRIPTORS_H

/* Keeps stderr and the two given. An open end of one of the program's pipes would keep its reader
 * waiting. */
void descriptors_close_all_but(int first, int second);

#endif
