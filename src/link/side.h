/*  What both sides of a link have in common.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_LINK_SIDE_H
#define RESIL_LINK_SIDE_H

#include <stdint.h>

/*  When a side has something to say. */
#define RESIL__LINK_NOW INT64_MIN
#define RESIL__LINK_NEVER INT64_MAX

/*  All above 0. */
typedef struct {
    int64_t repeat_ms;  /*  what has not been answered is said again                         */
    int64_t ping_ms;    /*  a sender that says nothing else pings so often                   */
    int64_t silence_ms; /*  who has not been heard for so long may be gone                   */
} resil__link_times_t;

/*  What has come of a frame. */
typedef enum {
    RESIL__LINK_REFUSED = -1, /*  with errno and a sentence: it has changed nothing         */
    RESIL__LINK_NOTHING,      /*  that its owner need know                                  */
    RESIL__LINK_OPENED,       /*  the other side, or another life of it, is there           */
    RESIL__LINK_CONFIRMED,    /*  sender: some has been let go of                           */
    RESIL__LINK_DELIVERED,    /*  receiver: the next batch, or the end                      */
    RESIL__LINK_DUPLICATE,    /*  receiver: a batch that it had                             */
    RESIL__LINK_GAP,          /*  receiver: a batch came that is not the next one           */
    RESIL__LINK_STALE,        /*  a frame of or for who has been replaced                   */
    RESIL__LINK_ENDED,        /*  all is confirmed                                          */
    RESIL__LINK_BROKEN,       /*  with errno and a sentence: there will be no more          */
    RESIL__LINK_FENCED        /*  this side has been replaced: it says nothing more         */
} resil__link_outcome_t;

#endif
