/*  What a monitor says, read: JSON to structs, whose texts belong to the JSON. What is not as agreed is left at its default,
    and what cannot be used at all is refused: nothing that comes from outside is believed. Pure functions.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_WATCHER_WIRE_H
#define RESIL_WATCHER_WIRE_H

#include <jansson.h>

#include <resil/watcher.h>

/*  The protocol's version, and what topics begin with. */
#define RESIL__WIRE_VERSION 1
#define RESIL__WIRE_EVENTS "resil1/event/"
#define RESIL__WIRE_BEATS "resil1/beat/"

/*  A beat. */
typedef struct {
    uint64_t sequence; /*  of the last event before it                              */
    const char *run;
    const char *program;
    const char *host;
    const char *root;
    const char *control; /*  the endpoint of requests                                 */
    int pid;
    int64_t at_us;
    int64_t period_us;
    int64_t uptime_us;
} resil__beat_t;

/*  The object in a frame, or NULL. To be given back by json_decref. */
json_t *resil__wire_read (const void *bytes, size_t size);

/*  A field of an object; where there is none of that type, or a number beyond 2^60, "", `otherwise`, false. */
const char *resil__wire_text (const json_t *object, const char *key);
int64_t resil__wire_number (const json_t *object, const char *key, int64_t otherwise);
bool resil__wire_is (const json_t *object, const char *key);

/*  Of any message: the version it is of, 0 if it says none. */
int resil__wire_version (const json_t *object);

/*  Whether it is one; `error` is pointed to by the event if it has a cause. `json` is left NULL. */
bool resil__wire_beat (const json_t *object, resil__beat_t *beat);
bool resil__wire_event (const json_t *object, resil_remote_event_t *event,
                        resil_remote_error_t *error);

/*  A node of a snapshot that was taken at `at_us`, likewise. */
bool resil__wire_node (const json_t *object, int64_t at_us, resil_remote_node_t *node,
                       resil_remote_error_t *error);

/*  A request: NULL if `fields` is no object (NULL: none), or there is no memory. To be freed. */
char *resil__wire_request (const char *id, const char *what, const char *path, const char *fields,
                           int64_t timeout_us);

#endif
