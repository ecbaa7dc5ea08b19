/*  Follows one program: what comes from it goes in, and out comes what is to be sent to it and what there is to tell. A
    state machine; sockets and clocks are its owner's.

        SEEKING ──beat──> JOINING ──snapshot──> FOLLOWING
                             ^                   │  event n + 2, or a beat that says there was one: a gap, which is
                             │                   │  filled from the program's ring; meanwhile events wait
                             └──── not to be had ┘
        any ──beat of another run──> JOINING      any ──three beats missing──> SILENT ──beat──> as it was

    Events are told in their order, each once, with no hole that is not told.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_WATCHER_FOLLOWER_H
#define RESIL_WATCHER_FOLLOWER_H

#include "watcher/notice.h"
#include "watcher/picture.h"

/*  Events that wait for a gap to be filled; later ones are had from the ring. */
#define RESIL__FOLLOWER_HELD_MAX 16384

/*  What its owner does for it. */
typedef struct {
    void (*connect) (void *owner, const char *control); /*  requests go there from now on     */
    void (*send) (void *owner, const char *request);
    void (*tell) (void *owner, resil__notice_t *notice); /*  which is the owner's then         */
} resil__follower_ops_t;

typedef struct _resil__follower_t resil__follower_t;

/*  `prefix` begins the ids of its requests; times in microseconds, of which -1 is never. NULL with ENOMEM. */
resil__follower_t *resil__follower_new (const resil__follower_ops_t *ops, void *owner,
                                        const char *prefix, int64_t request_us, int64_t refresh_us);
void resil__follower_destroy (resil__follower_t **self_p);

/*  Something was published: the bytes of its second frame, and whether its topic was that of beats. */
void resil__follower_published (resil__follower_t *self, bool is_beat, const void *bytes,
                                size_t size, int64_t now_us);

/*  Another version than ours is spoken there. */
void resil__follower_is_of_version (resil__follower_t *self, int version);

/*  A reply has come. */
void resil__follower_replied (resil__follower_t *self, const void *bytes, size_t size,
                              int64_t now_us);

/*  Ask for something; `id` gets the request's. 0, or -1 with errno: ENOTCONN, EINVAL, ENOMEM. */
int resil__follower_ask (resil__follower_t *self, const char *what, const char *path,
                         const char *fields, int64_t timeout_us, int64_t now_us,
                         char id[RESIL_REQUEST_ID_MAX]);

/*  When resil__follower_time is to be called at the latest; RESIL__NEVER. */
int64_t resil__follower_due_us (const resil__follower_t *self);
void resil__follower_time (resil__follower_t *self, int64_t now_us);

const resil__picture_t *resil__follower_picture (const resil__follower_t *self);

/*  Is there a picture, and is it known who we are there? */
bool resil__follower_has_joined (const resil__follower_t *self);

/*  What is known of the program; but for `endpoint`. */
const resil_program_info_t *resil__follower_info (resil__follower_t *self, int64_t now_us);

#endif
