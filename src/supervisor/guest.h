/*  Somebody outside who calls a tree from threads of their own, in the name of others, for as long as the tree is there: a
    monitor. There is one a tree.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_SUPERVISOR_GUEST_H
#define RESIL_SUPERVISOR_GUEST_H

#include <resil/event.h>

#include "supervisor/state.h"

/*  The struct that holds this is theirs. Both are called where the tree is destroyed, or the program ends; the guest is received no
    longer then. */
struct _resil__guest_t {
    /*  It will end: begin no call from now on. Those that are under way come back. */
    void (*tree_ends) (resil__guest_t *self);
    /*  Its actor has left, and all events are in the feed. Return when none of your calls is under way. */
    void (*tree_ended) (resil__guest_t *self);
    resil_supervisor_t *root; /*  NULL: received by none, or no longer                     */
    resil__feed_t *feed;      /*  held, from the time it was received on                   */
};

/*  Receive a guest, and give it a feed of so many bytes, unless there is one. 0, or -1 with errno and a sentence that begins with
    `call`: EINVAL, EALREADY, ENOMEM, ESHUTDOWN. Any thread. */
int resil__receive_guest (const char *call, resil_supervisor_t *root, resil__guest_t *guest,
                          size_t feed_bytes);

/*  It goes before the tree does, and has no call under way. The feed stays its own. Any thread. */
void resil__dismiss_guest (resil__guest_t *guest);

/*  For the end of a tree. */
resil__guest_t *resil__take_guest (resil__tree_t *tree);

/*  Calls of this thread are made in that name from now on, and those about a child are refused with ESTALE if it is not in that
    incarnation (0: in any). NULL: in its own. What is given stays valid. */
void resil__call_as (const char *client, uint64_t only_incarnation);
void resil__command_as (resil__command_t *command);

/*  Where a path leads. */
struct _resil__place_t {
    resil_supervisor_t *above; /*  NULL: it is the root                                     */
    resil_supervisor_t *self;  /*  NULL: it is a component                                  */
    char name[RESIL_NAME_MAX + 1];
    bool is_dynamic; /*  the one above is                                         */
    resil_supervisor_options_t
        options; /*  of a supervisor                                          */
};

/*  0, or -1 with errno and a sentence: ENOENT, ESHUTDOWN. */
int resil__locate (resil_supervisor_t *root, const char *path, resil__place_t *place);

/*  Read all meters of the tree of that root: for resil__readings_free. NULL with errno and a sentence. */
resil__readings_t *resil__read_meters (resil_supervisor_t *root);

/*  Have an event told about what is at that path, or about the root if nothing is: a client has something done, or is
    refused. Of `what` kind, by, command, request, stage, code and text count. Its number goes to *sequence. 0, or
    -1 with errno and a sentence. */
int resil__tell_client (resil_supervisor_t *root, const char *path, const resil_event_t *what,
                        uint64_t *sequence);

#endif
