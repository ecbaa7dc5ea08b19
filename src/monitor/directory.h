/*  The folder of one program in the user's home of monitors: its two sockets, and a lock that is held for as long as it
    lives. Who finds one without that removes it.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_MONITOR_DIRECTORY_H
#define RESIL_MONITOR_DIRECTORY_H

#define RESIL__DIRECTORY_MAX 100

typedef struct {
    char path[RESIL__DIRECTORY_MAX]; /*  "": there is none                                        */
    int lock_fd;
} resil__directory_t;

/*  Make it. 0, or -1 with errno and a sentence: what resil__home_check says, or what the system does. */
int resil__directory_make (resil__directory_t *self, const char *program);

/*  Remove it, and the sockets in it. */
void resil__directory_remove (resil__directory_t *self);

#endif
