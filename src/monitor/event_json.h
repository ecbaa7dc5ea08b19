/*  Events, failures and nodes of a tree as the protocol of the monitor has them: docs/protocols/monitor.md. Pure.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_MONITOR_EVENT_JSON_H
#define RESIL_MONITOR_EVENT_JSON_H

#include <resil/event.h>

#include "foundation/json_writer.h"

/*  The version of the protocol, and what its topics begin with. */
#define RESIL__PROTOCOL 1
#define RESIL__TOPIC_EVENT "resil1/event"
#define RESIL__TOPIC_BEAT "resil1/beat/"
#define RESIL__TOPIC_SAMPLE "resil1/sample"

/*  What each message begins with: {"v":1,"run":"...". */
void resil__message_json (resil__json_t *json, const char *run);

/*  The event, as an object; `key` is NULL in an array and for a message. */
void resil__event_json (resil__json_t *json, const resil_event_t *event, const char *run);

/*  One component or supervisor of a snapshot, with its story or without. */
void resil__node_json (resil__json_t *json, const char *key, const resil_standing_t *is,
                       bool with_story);

/*  A failure under that key, if there is one. */
void resil__cause_json (resil__json_t *json, const resil_error_t *error);

/*  An error of a call, under "error": what kind it is for a client follows from the errno. */
void resil__refusal_json (resil__json_t *json, int error, const char *text);
const char *resil__refusal_kind (int error);

#endif
