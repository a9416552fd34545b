/* For processes that run beside the program: they hold none of its descriptors. */
#ifndef KSMRUN_DESCRIPTORS_H
#define KSMRUN_DESCRIPTORS_H

/* Keeps stderr and the two given; a pipe of the program's held open here would keep its reader
 * waiting. */
void descriptors_close_all_but(int first, int second);

#endif
