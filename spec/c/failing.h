/*
** failing.h - a script that is run again and again, each time with another allocation that fails.
**
** What is linked with failing.c, and with --wrap for each call that it wraps (see the Makefile), allocates, maps and
** starts threads by way of failing.c, which lets one of these calls fail. The C library and an interpreter do not. So
** that the n-th call means the same in every run, whatever the threads do, calls are counted by the place that they
** come from. Each run is a process of its own, forked before anything has happened, so what is done once a process can
** fail too.
*/

#ifndef FAILING_H
#define FAILING_H

#include <stddef.h>

/* Returns 0 if all is well. Between failing_on and failing_off calls are counted and may fail; then it shows that
** everything works, and takes down all that it made. */
typedef int failing_script(void);

void failing_on(void);
void failing_off(void);
/* Counts a call from there. 1: it is to fail. */
int failing_now(const void *place);
/* Runs the script once for each call that can fail, and says what happened. Returns an exit code. Arguments: how many
** calls of a place to try (0: every one; else the first and a choice of the others), and after how many seconds a run
** hangs; to repeat one run also its place, or a piece of it, which call, and how it failed: 0, 1 or 2 of `shapes` in
** failing.c. */
int failing_main(failing_script *script, int count, char **arguments);

#endif
