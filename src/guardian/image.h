/*  The program that is guarded: how it was started, and how to start it again in the same way.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_GUARDIAN_IMAGE_H
#define RESIL_GUARDIAN_IMAGE_H

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

#include "guardian/mark.h"

/*  Variables that each child has of its own. */
enum {
    RESIL__OWN_MARK,
    RESIL__OWN_LISTEN,   /*  $LISTEN_PID, where there are sockets of systemd          */
    RESIL__OWN_WATCHDOG, /*  $WATCHDOG_PID, where it was the guardian's               */
    RESIL__OWN_NOTIFY,   /*  $NOTIFY_SOCKET, where there was one                      */
    RESIL__OWNS
};

/*  Everything is allocated when it is opened; to start it takes no memory. */
typedef struct {
    char **arguments;
    char *bytes;        /*  that they are in                                         */
    char **environment; /*  the guardian's, but for what is the child's own ...      */
    char *slots;        /*  ... which is here                                        */
    bool owns[RESIL__OWNS];
    int sockets;   /*  of systemd                                               */
    int *unborn;   /*  errno of one that could not be executed; memory shared with it */
    sigset_t mask; /*  of signals, as it was                                    */
    struct sigaction on_child;
} resil__image_t;

/*  Take down how this process was started. `notify` is to be the child's $NOTIFY_SOCKET; NULL: it has none.
    Returns 0, or -1 with errno and a sentence. */
int resil__image_open (resil__image_t *self, const char *notify);
void resil__image_close (resil__image_t *self);

/*  Block all signals, as the guardian reads them, and put all as it was. */
void resil__image_block_signals (resil__image_t *self);
void resil__image_restore_signals (const resil__image_t *self);

/*  Start it, with that mark, of which `child` is seen to. Returns its process id, or -1 with errno. */
pid_t resil__image_start (resil__image_t *self, resil__mark_t *mark);

#endif
