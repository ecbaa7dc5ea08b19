/*  SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/guest.h"

#include <errno.h>

#include "foundation/errmsg.h"

/*  Which guest is whose. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static _Thread_local struct {
    const char *client;
    uint64_t only_incarnation;
} calls_as;

int resil__receive_guest (const char *call, resil_supervisor_t *root, resil__guest_t *guest,
                          size_t feed_bytes)
{
    if (root->level > 0)
        return resil__refuse (EINVAL, "%s: \"%s\" is below another supervisor; give the root", call,
                              root->path);
    return resil__command (call, &(resil__command_t){.supervisor = root,
                                                     .verb = RESIL__RECEIVE_GUEST,
                                                     .guest = guest,
                                                     .feed_bytes = feed_bytes});
}

void resil__dismiss_guest (resil__guest_t *guest)
{
    pthread_mutex_lock (&lock);
    if (guest->root)
        guest->root->tree->guest = NULL;
    guest->root = NULL;
    pthread_mutex_unlock (&lock);
}

resil__guest_t *resil__take_guest (resil__tree_t *tree)
{
    pthread_mutex_lock (&lock);
    resil__guest_t *guest = tree->guest;
    tree->guest = NULL;
    if (guest)
        guest->root = NULL;
    pthread_mutex_unlock (&lock);
    return guest;
}

void resil__call_as (const char *client, uint64_t only_incarnation)
{
    calls_as.client = client;
    calls_as.only_incarnation = only_incarnation;
}

void resil__command_as (resil__command_t *command)
{
    command->client = calls_as.client;
    command->only_incarnation = calls_as.only_incarnation;
}

int resil__locate (resil_supervisor_t *root, const char *path, resil__place_t *place)
{
    return resil__command (
        "monitor", &(resil__command_t){
                       .supervisor = root, .verb = RESIL__LOCATE, .name = path, .place = place});
}

resil__readings_t *resil__read_meters (resil_supervisor_t *root)
{
    resil__readings_t *readings = NULL;
    resil__command (
        "monitor",
        &(resil__command_t){.supervisor = root, .verb = RESIL__READ_METERS, .readings = &readings});
    return readings;
}

int resil__tell_client (resil_supervisor_t *root, const char *path, const resil_event_t *what,
                        uint64_t *sequence)
{
    return resil__command ("monitor", &(resil__command_t){.supervisor = root,
                                                          .verb = RESIL__TELL_CLIENT,
                                                          .name = path,
                                                          .client_event = what,
                                                          .sequence = sequence});
}
