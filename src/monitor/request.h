/*  What a client asks for: from bytes that nobody has looked at yet to a request of which all is known to be what it should,
    or to a sentence that says what is wrong. Pure.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_MONITOR_REQUEST_H
#define RESIL_MONITOR_REQUEST_H

#include <jansson.h>

#include <resil/base.h>

#include "monitor/access.h"

#define RESIL__REQUEST_MAX (64 * 1024)
#define RESIL__REQUEST_DEPTH 16
#define RESIL__ID_ROOM 65

/*  How many events or letters one reply has: at most, and unless said. */
#define RESIL__REPLY_LIMIT 10000
#define RESIL__REPLY_USUAL 1000

typedef enum {
    RESIL__TO_HELLO,
    RESIL__TO_SNAPSHOT,
    RESIL__TO_DESCRIBE,
    RESIL__TO_LIST,
    RESIL__TO_EVENTS,
    RESIL__TO_METRICS,
    RESIL__TO_HEALTH,
    RESIL__TO_DEAD_LETTERS,
    RESIL__TO_START,
    RESIL__TO_TERMINATE,
    RESIL__TO_RESTART,
    RESIL__TO_HURRY,
    RESIL__TO_CALL,
    RESIL__TO_CAST,
    RESIL__TO_ADD,
    RESIL__TO_REMOVE,
    RESIL__TO_SET,
    RESIL__TO_SHUT_DOWN,
    RESIL__DEEDS,
    RESIL__TO_CONNECT = RESIL__DEEDS /*  no request: for who is refused that                     */
} resil__do_t;

/*  What is known of each. */
typedef struct {
    const char *name;
    resil__role_t role; /*  who may: from this one on                                */
    bool changes;       /*  something, so it is an event, and the same id does it once   */
    bool is_long;   /*  it is answered when it is accepted, and an event says when it is through */
    unsigned needs; /*  fields, by their bits in request.c                       */
} resil__deed_t;

const resil__deed_t *resil__deed (resil__do_t what);

/*  Its texts belong to `json`. What was not given is "", 0 or false, but for what is said. */
typedef struct {
    json_t *json;
    resil__do_t what;
    const char *id;
    const char *path;
    const char *text;
    const char *supervisor;
    const char *type;
    const char *name;
    const char *restart;
    const char *args;
    int64_t incarnation;
    int64_t from;
    int64_t limit; /*  RESIL__REPLY_USUAL                                       */
    int64_t tag;
    int64_t timeout_us;   /*  5 s                                                      */
    int64_t max_restarts; /*  INT64_MIN: not given, as all that follow                 */
    int64_t window_us;
    int64_t max_children;
    int64_t max_quarantined;
    bool if_idle;
    char kept_id[RESIL__ID_ROOM]; /*  also of a request that is refused, if it has one         */
} resil__request_t;

/*  One of which nothing was given. */
void resil__request_init (resil__request_t *self);

/*  0, or -1 with errno and a sentence: EINVAL, EMSGSIZE, EPROTONOSUPPORT, ENOMEM. To be released in either case. */
int resil__request_parse (resil__request_t *self, const void *bytes, size_t size);
void resil__request_release (resil__request_t *self);

#endif
