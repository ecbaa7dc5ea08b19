/*  A request on its way: from the monitor's actor to who carries it out, and the reply on its way back.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_MONITOR_ORDER_H
#define RESIL_MONITOR_ORDER_H

#include "monitor/request.h"

/*  Who asks, for the role, for telling ids of different clients apart, and for people. */
#define RESIL__BY_ROOM 160
typedef struct {
    resil__role_t role;
    char key[RESIL__KEY_ROOM];
    char by[RESIL__BY_ROOM]; /*  "key ops@127.0.0.1", "uid 1000@ipc", "viewer@127.0.0.1"   */
} resil__client_t;

/*  The way back: what the socket calls the client; one that sends an empty frame before its request gets one too. */
#define RESIL__ROUTE_MAX 255
typedef struct {
    size_t size;
    bool has_delimiter;
    unsigned char bytes[RESIL__ROUTE_MAX];
} resil__route_t;

typedef struct _resil__order_t {
    struct _resil__order_t *next;
    resil__request_t request;
    resil__client_t client;
    resil__route_t route;
    int64_t came_at_us; /*  to the crew                                            */
    unsigned account;   /*  of its client, there                                     */
    size_t bytes;       /*  that it came with                                        */
    bool is_sample;     /*  nobody has asked: what is measured is to be published     */
    int refused;        /*  an errno: there is only to be told that it was; 0: do it      */
    char why[256];      /*  ... and the sentence                                         */
} resil__order_t;

void resil__order_free (resil__order_t *order);

/*  Else it is for the thread that reads. */
bool resil__order_changes (const resil__order_t *order);

/*  A reply; its text begins behind it. */
typedef struct _resil__reply_t {
    struct _resil__reply_t *next;
    resil__route_t route;
    size_t topic_size; /*  0: it is a reply; else to be published under what it begins with   */
    bool to_keep;      /*  it is the one that the same request gets again                 */
    char key[RESIL__KEY_ROOM];
    char id[RESIL__ID_ROOM];
    size_t size;
    char text[];
} resil__reply_t;

#endif
