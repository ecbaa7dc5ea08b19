/*  A monitor: an actor that publishes the events of a tree and takes requests, and a crew that carries those out. The actor
    alone touches the sockets; it never waits for the tree, nor the tree for it.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_MONITOR_STATE_H
#define RESIL_MONITOR_STATE_H

#include <czmq.h>
#include <stdatomic.h>

#include <resil/monitor.h>

#include "foundation/json_writer.h"
#include "foundation/latch.h"
#include "monitor/access.h"
#include "monitor/crew.h"
#include "monitor/directory.h"
#include "monitor/pace.h"
#include "monitor/port.h"
#include "supervisor/guest.h"

/*  What the actor publishes, and to how many. */
typedef struct {
    resil__port_t port;
    size_t to_events; /*  subscriptions to some, or all                            */
    size_t to_samples;
    atomic_bool is_sampling; /*  the crew is about it                                    */
    bool owes_beat;          /*  somebody has subscribed to it                            */
    uint64_t next;           /*  the event that comes next, while there are some to events   */
    int64_t beat_due_us;
    resil__json_t json;
} resil__publisher_t;

/*  Replies on their way to the actor. */
typedef struct {
    pthread_mutex_t lock;
    pthread_cond_t taken;
    resil__reply_t *first;
    resil__reply_t *last;
    size_t bytes;
    size_t untold; /*  of them since the bell was rung                          */
} resil__replies_t;

/*  Changes that were asked for, the newest last, so that the same request is not carried out twice. The actor's. */
typedef struct _resil__remembered_t resil__remembered_t;
typedef struct {
    resil__remembered_t *first;
    resil__remembered_t *last;
    size_t count;
    size_t bytes;
} resil__memory_t;

/*  What the tree was last asked, and when: who had asked by then is answered with it. The reading thread's. */
typedef struct {
    resil_snapshot_t *snapshot;
    int64_t snapshot_at_us;
    resil__readings_t *readings;
    int64_t readings_at_us;
    int64_t due_us; /*  it is not asked again before                            */
} resil__asked_t;

struct _resil_monitor_t {
    resil__guest_t guest; /*  first: a guest is its monitor                            */
    resil_supervisor_t *root;
    char program[64];
    char host[256];
    const char *run;       /*  the feed's                                               */
    const char *root_path; /*  the root's: valid as long as it has the guest            */
    int64_t began_at_us;   /*  the program                                              */
    int64_t beat_us;
    bool is_ipc;
    bool is_own; /*  made by the environment, and freed with the tree         */
    resil__directory_t directory;
    char *access_file;
    resil__access_t access; /*  its file is NULL: there is none                          */
    resil__key_pair_t keys; /*  "": none                                                 */
    void *context;          /*  of libzmq: its sockets are in one of its own             */
    void *zap;              /*  where it is asked about keys; NULL: it has none         */

    zactor_t *actor;
    int bell; /*  an eventfd: an event, a reply, or the end                */
    atomic_bool leaves;
    resil__publisher_t publisher;
    resil__port_t control;
    resil__pace_t pace; /*  of requests                                              */
    bool is_paced;      /*  more may have come, and are left for later               */
    resil__crew_t crew;
    resil__asked_t asked;
    resil__replies_t replies;
    resil__memory_t memory;
    resil__json_t json; /*  the actor's                                              */
    bool has_crew;
    bool has_sockets;        /*  taken of what the process may have: the actor's            */
    resil__latch_t has_left; /*  the actor has                                            */
    int64_t look_due_us;     /*  at the access list                                       */

    int64_t refusals_from_us; /*  the second in which refusals are counted ...             */
    int refusals;             /*  ... that were told                                       */
};

/*  ---- publisher.c ---- */

/*  Take subscriptions; publish what there is, for a while. Returns whether there is more. */
void resil__publisher_serve (resil_monitor_t *self);
bool resil__publisher_publish (resil_monitor_t *self);
void resil__publisher_beat (resil_monitor_t *self);

/*  Have all measured and published, if somebody wants that. */
void resil__publisher_sample (resil_monitor_t *self);
void resil__publisher_pass_on (resil_monitor_t *self, const resil__reply_t *sample);

/*  ---- control.c: requests, in the actor ---- */

/*  Take requests, for a while. Returns whether more may be taken at once. What comes too fast is left to ZeroMQ, which
    takes from its clients in turn, and no more from one that has enough waiting. */
bool resil__control_serve (resil_monitor_t *self);

/*  A key is turned away at the door. */
void resil__control_turned_away (void *monitor, const char *key, const char *address);

/*  Tell of those who have not even shown one. */
void resil__control_look_at_doors (resil_monitor_t *self);

/*  Send what the crew has to say. */
void resil__control_send (resil_monitor_t *self);

/*  ---- replies.c: replies ---- */

/*  A reply to an order with that text, for the actor. Any thread. */
void resil__replies_put (resil_monitor_t *self, const resil__order_t *order,
                         const resil__json_t *json, bool to_keep);

/*  The same of what is to be published: at the latest with its end. */
void resil__replies_publish (resil_monitor_t *self, const char *topic, const resil__json_t *json);
void resil__replies_publish_end (resil_monitor_t *self);
resil__reply_t *resil__replies_take (resil_monitor_t *self);

/*  The actor is to leave: from now on nobody waits for it. */
void resil__replies_close (resil_monitor_t *self);

/*  ---- answer.c: requests, in the crew ---- */

void resil__answer (void *monitor, resil__order_t *order);

/*  Once nobody answers any more. */
void resil__answer_release (resil_monitor_t *self);

/*  It is not carried out, as the tree ends. */
void resil__answer_gone (void *monitor, resil__order_t *order);

/*  A reply that refuses, with the last error of this thread. */
void resil__answer_refusal (resil__json_t *json, const char *run, const char *id, int error,
                            const char *text);

/*  ---- memory.c ---- */

/*  What was asked for by that client with that id: remembered from now on, or known already; then *reply is
    what it got, NULL if there is none yet, and that will go the new way. */
bool resil__memory_knows (resil__memory_t *self, const resil__order_t *order, const char **text,
                          size_t *size);
void resil__memory_forget (resil__memory_t *self, const resil__order_t *order);

/*  It has got this reply. Puts the way that it is to go into it. */
void resil__memory_keep (resil__memory_t *self, resil__reply_t *reply);
void resil__memory_release (resil__memory_t *self);

#endif
