/*  SPDX-License-Identifier: Apache-2.0 */
#include "watcher/follower.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "foundation/clock.h"
#include "foundation/errmsg.h"

/*  Events had from the ring by one request. */
#define FILL_COUNT 1000
#define RUN_MAX 65

/*  What the follower asks for itself, one at a time. */
typedef enum { NOTHING, SNAPSHOT, RING, COUNTERS } wish_t;

/*  A request of the user's whose answer is still to come. */
typedef struct _asked_t asked_t;
struct _asked_t {
    asked_t *next;
    char id[RESIL_REQUEST_ID_MAX];
    char what[32];
    int64_t due_us;
    int64_t timeout_us;
    bool is_accepted; /*  it will be finished by an event ...                      */
    json_t *end;      /*  ... which has come before the reply; or NULL              */
};

struct _resil__follower_t {
    const resil__follower_ops_t *ops;
    void *owner;
    char prefix[32];
    int64_t request_us;
    int64_t refresh_us;
    uint64_t last_id;

    char run[RUN_MAX]; /*  "" before the first beat                                 */
    json_t *beat;      /*  the last one                                             */
    json_t *hello;     /*  the answer to hello, of this run; or NULL                */
    char hello_id[RESIL_REQUEST_ID_MAX];
    int64_t at_us;       /*  what the program's clock said ...                        */
    int64_t heard_at_us; /*  ... when ours said this; -1: never                       */
    int64_t silent_at_us;
    bool is_silent;
    char *why; /*  it is refused; or NULL                                   */

    bool has_picture;
    resil__picture_t picture;
    uint64_t sequence;     /*  the last event that was told, or need not be             */
    uint64_t published;    /*  the last of which is known that it has been              */
    resil__notices_t held; /*  events that came after a gap                            */

    wish_t wish;
    char wish_id[RESIL_REQUEST_ID_MAX];
    int64_t wish_due_us;
    int64_t refresh_at_us;

    asked_t *asked;
    resil_program_info_t info; /*  made when it is asked for                                */
};

resil__follower_t *resil__follower_new (const resil__follower_ops_t *ops, void *owner,
                                        const char *prefix, int64_t request_us, int64_t refresh_us)
{
    resil__follower_t *self = calloc (1, sizeof *self);
    if (!self)
        return NULL;
    self->ops = ops;
    self->owner = owner;
    self->request_us = request_us;
    self->refresh_us = refresh_us;
    self->heard_at_us = -1;
    self->silent_at_us = self->wish_due_us = self->refresh_at_us = RESIL__NEVER;
    snprintf (self->prefix, sizeof self->prefix, "%s", prefix);
    return self;
}

void resil__follower_destroy (resil__follower_t **self_p)
{
    resil__follower_t *self = *self_p;
    if (!self)
        return;
    while (self->asked) {
        asked_t *asked = self->asked;
        self->asked = asked->next;
        json_decref (asked->end);
        free (asked);
    }
    resil__notices_clear (&self->held);
    resil__picture_clear (&self->picture);
    json_decref (self->beat);
    json_decref (self->hello);
    free (self->why);
    free (self);
    *self_p = NULL;
}

/*  ---- Telling ------------------------------------------------------------------------------ */

static void tell_notice (resil__follower_t *self, resil__notice_t *notice)
{
    if (notice)
        self->ops->tell (self->owner, notice);
}

static void tell (resil__follower_t *self, resil_notice_kind_t kind, uint64_t count)
{
    resil__notice_t *notice = resil__notice_new (kind);
    if (notice)
        notice->is.count = count;
    tell_notice (self, notice);
}

static void refuse (resil__follower_t *self, const char *why)
{
    if (self->why)
        return;
    self->why = strdup (why);
    self->wish = NOTHING;
    self->wish_due_us = RESIL__NEVER;
    tell (self, RESIL_NOTICE_REFUSED, 0);
}

/*  ---- Its own requests --------------------------------------------------------------------- */

static void next_id (resil__follower_t *self, char id[RESIL_REQUEST_ID_MAX])
{
    snprintf (id, RESIL_REQUEST_ID_MAX, "%s-%" PRIu64, self->prefix, ++self->last_id);
}

/*  0, or -1 with errno. */
static int send_request (resil__follower_t *self, const char *id, const char *what,
                         const char *path, const char *fields, int64_t timeout_us)
{
    char *request = resil__wire_request (id, what, path, fields, timeout_us);
    if (!request)
        return -1;
    self->ops->send (self->owner, request);
    free (request);
    return 0;
}

static void wish_for (resil__follower_t *self, wish_t wish, int64_t now_us)
{
    char fields[96] = "{}";
    if (wish == RING)
        snprintf (fields, sizeof fields, "{\"from\":%" PRIu64 ",\"limit\":%d}", self->sequence + 1,
                  FILL_COUNT);
    self->wish = wish;
    self->wish_due_us = now_us + self->request_us;
    next_id (self, self->wish_id);
    send_request (self, self->wish_id, wish == RING ? "events" : "snapshot", NULL, fields,
                  self->request_us);
    if (self->hello || wish != SNAPSHOT)
        return;
    next_id (self, self->hello_id);
    send_request (self, self->hello_id, "hello", NULL, NULL, self->request_us);
}

/*  What is missing is had, unless something is on its way already. */
static void catch_up (resil__follower_t *self, int64_t now_us)
{
    bool is_behind = self->held.count > 0 || self->published > self->sequence;
    if (self->why || (self->wish != NOTHING && self->wish != COUNTERS))
        return;
    if (!self->has_picture)
        wish_for (self, SNAPSHOT, now_us);
    else if (is_behind)
        wish_for (self, RING, now_us);
}

/*  ---- Requests of the user's --------------------------------------------------------------- */

static void answer (resil__follower_t *self, asked_t **at, resil__notice_t *notice)
{
    asked_t *asked = *at;
    *at = asked->next;
    json_decref (asked->end);
    free (asked);
    tell_notice (self, notice);
}

static asked_t **find_asked (resil__follower_t *self, const char *id)
{
    asked_t **at = &self->asked;
    while (*at && strcmp ((*at)->id, id) != 0)
        at = &(*at)->next;
    return at;
}

static void end_command (resil__follower_t *self, const resil__notice_t *told)
{
    const resil_remote_event_t *event = &told->event;
    if (strcmp (event->type, "command") != 0 || strcmp (event->stage, "accepted") == 0)
        return;
    asked_t **at = find_asked (self, event->id);
    if (*at && (*at)->is_accepted)
        answer (self, at, resil__notice_of_end (event->id, told->source));
    else if (*at && !(*at)->end) /*  the reply says whether there is more to it              */
        (*at)->end = json_incref (told->source);
}

/*  The run that they were for has ended. */
static void give_up_asked (resil__follower_t *self)
{
    while (self->asked)
        answer (self, &self->asked,
                resil__notice_of_failure (self->asked->id, "gone",
                                          "the program has ended before it answered; it may "
                                          "have done what it was asked for"));
}

static void time_out (resil__follower_t *self, asked_t **at)
{
    char text[200];
    const asked_t *asked = *at;
    snprintf (
        text, sizeof text,
        "\"%s\" %s within %" PRId64 " ms: it may be done yet; see how it stands, or give it longer",
        asked->what, asked->is_accepted ? "was accepted, and is not done" : "was not answered",
        asked->timeout_us / 1000);
    answer (self, at, resil__notice_of_failure (asked->id, "timeout", text));
}

int resil__follower_ask (resil__follower_t *self, const char *what, const char *path,
                         const char *fields, int64_t timeout_us, int64_t now_us,
                         char id[RESIL_REQUEST_ID_MAX])
{
    if (!*self->run || self->why)
        return resil__refuse (ENOTCONN,
                              "\"%s\" cannot be asked for: the program has not been joined", what);
    asked_t *asked = calloc (1, sizeof *asked);
    if (!asked)
        return resil__refuse (ENOMEM, "no memory for a request");
    next_id (self, asked->id);
    if (send_request (self, asked->id, what, path, fields, timeout_us)) {
        free (asked);
        return resil__refuse (EINVAL, "what goes with \"%s\" is no JSON object in UTF-8: %s", what,
                              fields ? fields : "");
    }
    snprintf (asked->what, sizeof asked->what, "%s", what);
    asked->timeout_us = timeout_us;
    asked->due_us = now_us + timeout_us;
    asked->next = self->asked;
    self->asked = asked;
    memcpy (id, asked->id, sizeof asked->id);
    return 0;
}

/*  ---- Events ------------------------------------------------------------------------------- */

/*  The next one: it is in the picture from now on, and told. */
static void take (resil__follower_t *self, resil__notice_t *notice)
{
    self->sequence = notice->event.sequence;
    if (self->sequence > self->published)
        self->published = self->sequence;
    if (resil__picture_apply (&self->picture, &notice->event, notice->source))
        self->has_picture = false; /*  no memory: it is had anew                            */
    end_command (self, notice);
    tell_notice (self, notice);
}

/*  Held ones that are due now. */
static void take_held (resil__follower_t *self)
{
    while (self->held.first && self->held.first->event.sequence <= self->sequence + 1) {
        resil__notice_t *notice = resil__notices_take (&self->held);
        if (notice->event.sequence == self->sequence + 1)
            take (self, notice);
        else
            resil__notice_free (notice);
    }
}

static void hold (resil__follower_t *self, resil__notice_t *notice)
{
    uint64_t sequence = notice->event.sequence;
    if (sequence > self->published)
        self->published = sequence;
    bool is_next = !self->held.last || sequence > self->held.last->event.sequence;
    if (is_next && self->held.count < RESIL__FOLLOWER_HELD_MAX)
        resil__notices_put (&self->held, notice);
    else
        resil__notice_free (notice);
}

static void on_event (resil__follower_t *self, json_t *source, const void *bytes, size_t size,
                      int64_t now_us)
{
    resil__notice_t *notice = resil__notice_of_event (source, bytes, size);
    if (!notice)
        return;
    if (self->refresh_us >= 0 && self->refresh_at_us == RESIL__NEVER)
        self->refresh_at_us = now_us + self->refresh_us;
    if (self->has_picture && notice->event.sequence <= self->sequence)
        resil__notice_free (notice);
    else if (self->has_picture && !self->held.count && notice->event.sequence == self->sequence + 1)
        take (self, notice);
    else
        hold (self, notice);
    catch_up (self, now_us);
}

/*  ---- Beats -------------------------------------------------------------------------------- */

static void begin_run (resil__follower_t *self, const resil__beat_t *beat, int64_t now_us)
{
    bool is_first = !*self->run;
    snprintf (self->run, sizeof self->run, "%s", beat->run);
    self->info.runs++;
    self->has_picture = false;
    self->is_silent = false;
    self->sequence = self->published = 0;
    resil__picture_clear (&self->picture);
    resil__notices_clear (&self->held);
    json_decref (self->hello);
    self->hello = NULL;
    free (self->why);
    self->why = NULL;
    self->ops->connect (self->owner, beat->control);
    if (!is_first) {
        give_up_asked (self);
        tell (self, RESIL_NOTICE_NEW_RUN, 0);
    }
    wish_for (self, SNAPSHOT, now_us);
}

static void on_beat (resil__follower_t *self, json_t *source, int64_t now_us)
{
    resil__beat_t beat;
    if (!resil__wire_beat (source, &beat))
        return;
    json_incref (source);
    json_decref (self->beat);
    self->beat = source;
    self->at_us = beat.at_us;
    self->heard_at_us = now_us;
    /*  Three beats, and half of one, as they come when they can. */
    self->silent_at_us = now_us + 7 * beat.period_us / 2;
    if (strncmp (self->run, beat.run, sizeof self->run - 1) != 0)
        begin_run (self, &beat, now_us);
    if (self->is_silent) {
        self->is_silent = false;
        tell (self, RESIL_NOTICE_BACK, 0);
    }
    if (beat.sequence > self->published)
        self->published = beat.sequence;
    catch_up (self, now_us);
}

void resil__follower_is_of_version (resil__follower_t *self, int version)
{
    char why[200];
    snprintf (
        why, sizeof why, "it speaks version %d of the protocol, and this is for version %d: %s",
        version, RESIL__WIRE_VERSION,
        version > RESIL__WIRE_VERSION ? "take a newer resil here" : "take a newer resil there");
    refuse (self, why);
}

void resil__follower_published (resil__follower_t *self, bool is_beat, const void *bytes,
                                size_t size, int64_t now_us)
{
    json_t *source = resil__wire_read (bytes, size);
    int version = resil__wire_version (source);
    if (!source)
        return;
    if (version && version != RESIL__WIRE_VERSION)
        resil__follower_is_of_version (self, version);
    else if (version && is_beat)
        on_beat (self, source, now_us);
    else if (version && *self->run &&
             strncmp (resil__wire_text (source, "run"), self->run, RUN_MAX - 1) == 0)
        on_event (self, source, bytes, size, now_us);
    json_decref (source);
}

/*  ---- Replies to its own requests ---------------------------------------------------------- */

/*  The picture is right at `sequence`. What was held from before it is told and not applied. */
static void join_at (resil__follower_t *self, uint64_t sequence, bool was_there)
{
    uint64_t known = 0;
    for (const resil__notice_t *held = self->held.first; held; held = held->next)
        known += held->event.sequence > self->sequence && held->event.sequence <= sequence;
    uint64_t missing = sequence > self->sequence ? sequence - self->sequence : 0;
    uint64_t lost = was_there && missing > known ? missing - known : 0;
    self->has_picture = true;
    self->info.lost += lost;
    if (lost || !was_there)
        tell (self, was_there ? RESIL_NOTICE_LOST : RESIL_NOTICE_JOINED, lost);
    while (self->held.first && self->held.first->event.sequence <= sequence) {
        resil__notice_t *notice = resil__notices_take (&self->held);
        bool is_new = was_there && notice->event.sequence > self->sequence;
        end_command (self, notice);
        if (is_new)
            tell_notice (self, notice);
        else
            resil__notice_free (notice);
    }
    self->sequence = sequence;
    if (sequence > self->published)
        self->published = sequence;
    take_held (self);
}

/*  Events do not tell how pipelines stand. */
static void refresh_pipelines (resil__follower_t *self, int64_t now_us)
{
    if (self->refresh_us >= 0 && self->refresh_at_us == RESIL__NEVER &&
        resil__picture_has_pipeline (&self->picture))
        self->refresh_at_us = now_us + self->refresh_us;
}

static void on_snapshot (resil__follower_t *self, const json_t *result, int64_t at_us)
{
    int64_t sequence = resil__wire_number (result, "seq", -1);
    json_t *nodes = json_object_get (result, "nodes");
    bool was_there = self->has_picture;
    if (sequence < 0 || !json_is_array (nodes) ||
        (was_there && (uint64_t) sequence <= self->sequence))
        return; /*  it is asked for again, as if it had not come                     */
    self->has_picture = false;
    if (resil__picture_fill (&self->picture, nodes, resil__wire_number (result, "at_us", at_us)))
        return;
    self->wish = NOTHING;
    self->wish_due_us = RESIL__NEVER;
    join_at (self, (uint64_t) sequence, was_there);
}

static void on_ring (resil__follower_t *self, const json_t *result, int64_t now_us)
{
    const json_t *events = json_object_get (result, "events");
    uint64_t before = self->sequence;
    for (size_t i = 0; i < json_array_size (events); i++) {
        resil__notice_t *notice = resil__notice_of_event (json_array_get (events, i), NULL, 0);
        if (notice && notice->event.sequence == self->sequence + 1) {
            self->info.filled++;
            take (self, notice);
        }
        else
            resil__notice_free (notice);
    }
    take_held (self);
    self->wish = NOTHING;
    self->wish_due_us = RESIL__NEVER;
    /*  What the ring has no more is made good by a snapshot. */
    if (self->sequence == before && self->published > self->sequence)
        wish_for (self, SNAPSHOT, now_us);
}

static void on_counters (resil__follower_t *self, const json_t *result)
{
    resil__picture_count (&self->picture, json_object_get (result, "nodes"));
    self->wish = NOTHING;
    self->wish_due_us = RESIL__NEVER;
}

static void on_wish (resil__follower_t *self, json_t *source, int64_t now_us)
{
    const json_t *result = json_object_get (source, "result");
    const json_t *error = json_object_get (source, "error");
    const char *kind = resil__wire_text (error, "kind");
    if (resil__wire_is (source, "ok")) {
        if (self->wish == SNAPSHOT)
            on_snapshot (self, result, resil__wire_number (source, "at_us", self->at_us));
        else if (self->wish == RING)
            on_ring (self, result, now_us);
        else
            on_counters (self, result);
        refresh_pipelines (self, now_us);
        catch_up (self, now_us);
    }
    else if (strcmp (kind, "refused") == 0 || strcmp (kind, "version") == 0)
        refuse (self, resil__wire_text (error, "text"));
    /*  Else it is asked for again, when the answer would have been late. */
}

static void on_reply (resil__follower_t *self, asked_t **asked, json_t *source)
{
    bool is_accepted = resil__wire_is (source, "ok") &&
                       resil__wire_is (json_object_get (source, "result"), "accepted");
    if (!is_accepted)
        answer (self, asked, resil__notice_of_reply ((*asked)->id, source));
    else if ((*asked)->end)
        answer (self, asked, resil__notice_of_end ((*asked)->id, (*asked)->end));
    else
        (*asked)->is_accepted = true;
}

void resil__follower_replied (resil__follower_t *self, const void *bytes, size_t size,
                              int64_t now_us)
{
    json_t *source = resil__wire_read (bytes, size);
    const char *id = resil__wire_text (source, "id");
    asked_t **asked = find_asked (self, id);
    if (*id && self->wish != NOTHING && strcmp (id, self->wish_id) == 0)
        on_wish (self, source, now_us);
    else if (*id && strcmp (id, self->hello_id) == 0) {
        json_decref (self->hello);
        self->hello = json_incref (source);
    }
    else if (*asked)
        on_reply (self, asked, source);
    json_decref (source);
}

/*  ---- Time --------------------------------------------------------------------------------- */

int64_t resil__follower_due_us (const resil__follower_t *self)
{
    int64_t due_us = self->wish == NOTHING ? RESIL__NEVER : self->wish_due_us;
    due_us = resil__earlier (due_us, self->is_silent ? RESIL__NEVER : self->silent_at_us);
    due_us = resil__earlier (due_us, self->has_picture ? self->refresh_at_us : RESIL__NEVER);
    for (const asked_t *asked = self->asked; asked; asked = asked->next)
        due_us = resil__earlier (due_us, asked->due_us);
    return due_us;
}

void resil__follower_time (resil__follower_t *self, int64_t now_us)
{
    for (asked_t **at = &self->asked; *at;)
        if ((*at)->due_us <= now_us)
            time_out (self, at);
        else
            at = &(*at)->next;
    if (!self->is_silent && self->silent_at_us <= now_us) {
        self->is_silent = true;
        tell (self, RESIL_NOTICE_SILENT, 0);
    }
    if (self->wish != NOTHING && self->wish_due_us <= now_us)
        wish_for (self, self->wish, now_us);
    if (self->has_picture && self->refresh_at_us <= now_us) {
        self->refresh_at_us = RESIL__NEVER;
        if (self->wish == NOTHING)
            wish_for (self, COUNTERS, now_us);
    }
}

/*  ---- What is known ------------------------------------------------------------------------ */

const resil__picture_t *resil__follower_picture (const resil__follower_t *self)
{
    return &self->picture;
}

static resil_link_t link_of (const resil__follower_t *self)
{
    if (self->why)
        return RESIL_LINK_REFUSED;
    if (!*self->run)
        return RESIL_LINK_SEEKING;
    if (self->is_silent)
        return RESIL_LINK_SILENT;
    return self->has_picture ? RESIL_LINK_FOLLOWING : RESIL_LINK_JOINING;
}

bool resil__follower_has_joined (const resil__follower_t *self)
{
    return link_of (self) == RESIL_LINK_FOLLOWING && self->hello;
}

const resil_program_info_t *resil__follower_info (resil__follower_t *self, int64_t now_us)
{
    resil__beat_t beat = {0};
    const json_t *hello = json_object_get (self->hello, "result");
    resil__wire_beat (self->beat, &beat);
    int64_t since_us = self->heard_at_us < 0 ? 0 : now_us - self->heard_at_us;
    resil_program_info_t info = {.endpoint = self->info.endpoint,
                                 .name = resil__wire_text (self->beat, "program"),
                                 .host = resil__wire_text (self->beat, "host"),
                                 .pid = beat.pid,
                                 .root = resil__wire_text (self->beat, "root"),
                                 .run = self->run,
                                 .version = resil__wire_text (hello, "version"),
                                 .role = resil__wire_text (hello, "role"),
                                 .by = resil__wire_text (hello, "by"),
                                 .link = link_of (self),
                                 .why = self->why ? self->why : "",
                                 .sequence = self->sequence,
                                 .lost = self->info.lost,
                                 .filled = self->info.filled,
                                 .runs = self->info.runs,
                                 .now_us = self->at_us + since_us,
                                 .uptime_us = beat.uptime_us + since_us,
                                 .heard_us = self->heard_at_us < 0 ? -1 : since_us};
    self->info = info;
    return &self->info;
}
