/*  One message is given at a time: the next when the one before has been handled, however much the process would take. So
    the message in hand is known, as it is of a component here.

    Replies to calls of the process come to a mailbox of their own, as that of the component may have one in hand
    while it waits for a reply. All else that it receives comes by its own mailbox, in one order.

    SPDX-License-Identifier: Apache-2.0 */
#include "runner/post.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "foundation/clock.h"
#include "foundation/errmsg.h"
#include "mailbox/call.h"

/*  Addresses that one incarnation may know. */
#define KNOWN_MOST 1000000

/*  An address that the process knows by its number. */
typedef struct {
    resil__entry_t entry; /*  first: by its hash                                       */
    resil_address_t address;
    uint64_t number;
} known_t;

/*  A call that it is going to reply to. */
typedef struct _kept_t {
    struct _kept_t *next;
    uint64_t number;
    resil_message_t *message;
} kept_t;

typedef struct _resil__post_t resil__post_t;
struct _resil__post_t {
    resil__process_t *process;
    resil__mailbox_host_t hook;
    resil__mailbox_t *replies; /*  NULL: it has called nobody                               */
    uint64_t may_have;         /*  messages up to that number                               */
    uint64_t given;            /*  the last one's                                           */
    bool is_in_hand;           /*  ... which has not been handled                           */
    kept_t *kept;
    known_t **known; /*  by number, from 1                                        */
    size_t known_count;
    size_t known_room;
    resil__index_t by_address;
};

static resil_self_t *self_of (resil__process_t *self)
{
    return &self->base.self;
}

static resil__mailbox_t *mailbox_of (resil__process_t *self)
{
    return self_of (self)->inbox.mailbox;
}

/*  NULL: no memory. */
static resil__post_t *post_of (resil__process_t *self)
{
    if (!self->post && (self->post = calloc (1, sizeof *self->post)))
        self->post->process = self;
    return self->post;
}

/*  ---- Addresses ----------------------------------------------------------------------------------------- */

static uint64_t hash_of (resil_address_t address)
{
    uint64_t hash =
        ((uint64_t) (uintptr_t) address.place ^ address.number) * UINT64_C (0x9e3779b97f4a7c15);
    return hash ^ hash >> 32;
}

static known_t *find_known (const resil__post_t *post, resil_address_t address)
{
    resil__entry_t *entry = resil__index_first (&post->by_address, hash_of (address));
    while (entry && !resil_address_same (((known_t *) entry)->address, address))
        entry = resil__index_next (entry);
    return (known_t *) entry;
}

static known_t *add_known (resil__post_t *post, resil_address_t address)
{
    if (post->known_count == KNOWN_MOST ||
        resil__index_reserve (&post->by_address, post->by_address.count + 1))
        return NULL;
    if (post->known_count == post->known_room) {
        size_t room = post->known_room ? post->known_room * 2 : 8;
        known_t **larger = realloc (post->known, room * sizeof *larger);
        if (!larger)
            return NULL;
        post->known = larger;
        post->known_room = room;
    }
    known_t *known = malloc (sizeof *known);
    if (!known)
        return NULL;
    *known = (known_t){.address = address, .number = post->known_count + 1};
    known->entry.hash = hash_of (address);
    resil__index_add (&post->by_address, &known->entry);
    post->known[post->known_count++] = known;
    return known;
}

/*  What the process calls it; 0: nobody, or there is no memory. */
static uint64_t number_of (resil__process_t *self, resil_address_t address)
{
    resil__post_t *post = post_of (self);
    if (!post || resil_address_is_nobody (address))
        return 0;
    const known_t *known = find_known (post, address);
    if (!known)
        known = add_known (post, address);
    return known ? known->number : 0;
}

static resil_address_t address_of (const resil__process_t *self, uint64_t number)
{
    const resil__post_t *post = self->post;
    return post && number > 0 && number <= post->known_count ? post->known[number - 1]->address
                                                             : RESIL_NOBODY;
}

uint64_t resil__post_own (resil__process_t *self)
{
    return number_of (self, resil__mailbox_address (mailbox_of (self)));
}

/*  ---- Answers ---------------------------------------------------------------------------------------------- */

void resil__post_answer (resil__process_t *self, uint64_t ticket, int error, uint64_t value)
{
    resil__frame_t frame = {.kind = RESIL__FRAME_ANSWER};
    frame.answer.ticket = ticket;
    frame.answer.error = error;
    frame.answer.value = value;
    frame.answer.text = resil__frame_text (error ? resil_errmsg () : "");
    if (ticket)
        resil__speech_say (self, &frame);
}

/*  0, or the errno with a sentence. */
static int explain (int error)
{
    switch (error) {
    case 0:
        break;
    case ESHUTDOWN:
        resil__refuse (error, "nobody is there: the component has ended or was deleted");
        break;
    case EAGAIN:
        resil__refuse (error, "the mailbox is full");
        break;
    case EMSGSIZE:
        resil__refuse (error, "the message is larger than all that the mailbox may hold");
        break;
    case EINVAL:
        resil__refuse (error, "the address is nobody's");
        break;
    default:
        resil__refuse (error, "it was not sent: %s", strerror (error));
    }
    return error;
}

static void say_result (resil__process_t *self, uint64_t ticket, int error,
                        const resil_message_t *reply)
{
    resil__frame_t frame = {.kind = RESIL__FRAME_RESULT};
    frame.result.ticket = ticket;
    frame.result.error = error;
    if (reply && !error) {
        frame.result.tag = reply->tag;
        frame.result.sender = number_of (self, reply->sender);
        frame.result.bytes = (resil__bytes_t){reply->bytes, reply->size};
    }
    resil__speech_say (self, &frame);
}

/*  ---- What it is given ---------------------------------------------------------------------------------------- */

static resil__bytes_t bytes_of (const resil_message_t *message)
{
    return message->kind == RESIL_MESSAGE_DOWN ? (resil__bytes_t){message->in_here, message->size}
                                               : (resil__bytes_t){message->bytes, message->size};
}

static void give (resil__process_t *self, const resil_message_t *message)
{
    resil__frame_t frame = {.kind = RESIL__FRAME_MAIL};
    frame.mail.number = ++self->post->given;
    frame.mail.kind = message->kind;
    frame.mail.tag = message->tag;
    frame.mail.sender = number_of (self, message->sender);
    frame.mail.deliveries = message->retries;
    frame.mail.code = message->kind == RESIL_MESSAGE_DOWN ? message->code : 0;
    frame.mail.context = message->kind == RESIL_MESSAGE_DOWN ? message->context : 0;
    frame.mail.bytes = bytes_of (message);
    self->post->is_in_hand = true;
    resil__speech_say (self, &frame);
}

static void give_next (resil__process_t *self)
{
    resil__post_t *post = self->post;
    bool is_stale;
    if (!post || post->is_in_hand || post->given >= post->may_have)
        return;
    resil_message_t *message =
        resil__inbox_take (self_of (self), resil__coarse_now_us (), &is_stale);
    if (message)
        give (self, message);
}

static void give_replies (resil__process_t *self)
{
    resil__post_t *post = self->post;
    resil_message_t *message;
    bool is_stale;
    while (post && post->replies &&
           (message = resil__mailbox_take (post->replies, self_of (self), 0, &is_stale)))
        if (message->kind == RESIL_MESSAGE_REPLY)
            say_result (self, message->context, message->code, message);
}

void resil__post_look (resil__process_t *self)
{
    give_replies (self);
    give_next (self);
}

static void on_take (resil__process_t *self, const resil__frame_t *frame)
{
    resil__post_t *post = post_of (self);
    if (!post || frame->take.up_to <= post->may_have)
        return;
    post->may_have = frame->take.up_to;
    give_next (self);
}

/*  Is that the one in hand? */
static bool is_in_hand (const resil__process_t *self, uint64_t number)
{
    return self->post && self->post->is_in_hand && number == self->post->given;
}

static void on_handled (resil__process_t *self, const resil__frame_t *frame)
{
    if (!is_in_hand (self, frame->handled.up_to))
        return;
    self->post->is_in_hand = false;
    resil__mailbox_done (mailbox_of (self), self_of (self));
    self_of (self)->inbox.in_hand = NULL;
    give_next (self);
}

/*  It is ours now. */
static resil_message_t *take_out_of_hand (resil__process_t *self)
{
    self->post->is_in_hand = false;
    self_of (self)->inbox.in_hand = NULL;
    return resil__mailbox_keep (mailbox_of (self), self_of (self));
}

static void on_kept (resil__process_t *self, const resil__frame_t *frame)
{
    if (!is_in_hand (self, frame->kept.mail))
        return;
    resil_self_t *inside = self_of (self);
    resil_message_t *message = take_out_of_hand (self);
    resil__call_t *call =
        message && message->kind == RESIL_MESSAGE_CALL ? atomic_load (&message->call) : NULL;
    resil__desk_t *desk = call ? resil__desk_need (inside) : NULL;
    kept_t *kept = desk ? malloc (sizeof *kept) : NULL;
    if (kept) {
        *kept = (kept_t){self->post->kept, frame->kept.mail, message};
        self->post->kept = kept;
        inside->inbox.keeps = true;
        resil__call_keep (call, &desk->kept);
    }
    else
        resil_message_destroy (&message);
    give_next (self);
}

/*  ---- Calls to it ---------------------------------------------------------------------------------------------- */

static kept_t **find_kept (resil__post_t *post, uint64_t number)
{
    kept_t **at = &post->kept;
    while (*at && (*at)->number != number)
        at = &(*at)->next;
    return at;
}

static resil_message_t *take_kept (kept_t **at)
{
    kept_t *kept = *at;
    resil_message_t *message = kept->message;
    *at = kept->next;
    free (kept);
    return message;
}

/*  The call of that number, in hand or kept, or NULL. */
static resil_message_t *call_of (resil__process_t *self, uint64_t number)
{
    if (!self->post)
        return NULL;
    if (is_in_hand (self, number))
        return self_of (self)->inbox.in_hand;
    kept_t *kept = *find_kept (self->post, number);
    return kept ? kept->message : NULL;
}

/*  It has been replied to: one that was kept is not needed any more. */
static void forget_kept (resil__process_t *self, uint64_t number)
{
    kept_t **at = find_kept (self->post, number);
    if (*at) {
        resil_message_t *message = take_kept (at);
        resil_message_destroy (&message);
    }
}

static void on_reply (resil__process_t *self, const resil__frame_t *frame)
{
    resil_message_t *request = call_of (self, frame->reply.mail);
    if (!request) {
        resil__post_answer (self, frame->reply.ticket,
                            (resil__refuse (ENOMSG, "there is no call of that number"), ENOMSG), 0);
        return;
    }
    resil_message_t *reply =
        resil_message_new (frame->reply.tag, frame->reply.bytes.at, frame->reply.bytes.size);
    int error = reply ? 0 : ENOMEM;
    if (reply) {
        reply->sender = resil__mailbox_address (mailbox_of (self));
        error = resil__call_answer (request, reply);
    }
    if (reply && error) {
        resil__message_free (reply);
        resil__refuse (error, "nobody waits for that reply any more");
    }
    forget_kept (self, frame->reply.mail);
    resil__post_answer (self, frame->reply.ticket, error, 0);
}

static void on_drop (resil__process_t *self, const resil__frame_t *frame)
{
    resil_message_t *request = call_of (self, frame->drop.mail);
    if (!request)
        return;
    resil__call_break (request, EPIPE);
    forget_kept (self, frame->drop.mail);
}

/*  ---- What it sends --------------------------------------------------------------------------------------------- */

static int64_t deadline_us (int64_t ms)
{
    if (ms > RESIL_LONGEST_MS)
        ms = RESIL_LONGEST_MS;
    return resil__deadline_us (resil__now_us (), ms);
}

/*  An errno; else it is taken. */
static int put (resil__process_t *self, uint64_t to, resil_message_t *message, resil_full_t full)
{
    resil_address_t address = address_of (self, to);
    if (resil_address_is_nobody (message->sender))
        message->sender = resil__mailbox_address (mailbox_of (self));
    message->sent_at_us = resil__coarse_now_us ();
    return resil_address_is_nobody (address) ? EINVAL
                                             : resil__mailbox_put (address, message, full, 0);
}

/*  A call that it has goes on to somebody else, with the right to reply. */
static int pass_on (resil__process_t *self, const resil__frame_t *frame, resil_full_t full)
{
    uint64_t number = frame->send.mail;
    resil_message_t *request = call_of (self, number);
    resil__call_t *call =
        request && request->kind == RESIL_MESSAGE_CALL ? atomic_load (&request->call) : NULL;
    if (!call)
        return ENOMSG;
    bool was_in_hand = is_in_hand (self, number);
    if (was_in_hand)
        take_out_of_hand (self);
    else
        take_kept (find_kept (self->post, number));
    resil__call_pass_on (call);
    request->retries = 0;
    int error = put (self, frame->send.to, request, full);
    if (error)
        resil_message_destroy (&request);
    if (was_in_hand)
        give_next (self);
    return error;
}

static void on_send (resil__process_t *self, const resil__frame_t *frame)
{
    resil_full_t full = frame->send.full ? RESIL_FULL_DROPS_OLDEST : RESIL_FULL_FAILS;
    if (frame->send.mail) {
        resil__post_answer (self, frame->send.ticket, explain (pass_on (self, frame, full)), 0);
        return;
    }
    resil_message_t *message =
        resil_message_new (frame->send.tag, frame->send.bytes.at, frame->send.bytes.size);
    int error = message ? 0 : ENOMEM;
    if (message) {
        message->deadline_us = deadline_us (frame->send.expires_ms);
        error = put (self, frame->send.to, message, full);
    }
    if (error && message)
        resil__message_free (message);
    resil__post_answer (self, frame->send.ticket, explain (error), 0);
}

static atomic_uint *notify (resil__mailbox_host_t *hook, const void *reader)
{
    (void) reader;
    resil__post_t *post = (resil__post_t *) ((char *) hook - offsetof (resil__post_t, hook));
    resil__process_want (post->process, 0);
    return NULL;
}

/*  0, or ENOMEM. */
static int have_replies (resil__process_t *self)
{
    static const resil__mailbox_rules_t rules = {.max_messages = 1, .max_bytes = 1024};
    resil__post_t *post = post_of (self);
    if (!post)
        return ENOMEM;
    if (post->replies)
        return 0;
    post->replies =
        resil__mailbox_new (&rules, mailbox_of (self)->office, self_of (self)->spec->name);
    if (!post->replies)
        return ENOMEM;
    if (!resil__mailbox_need_contents (post->replies)) {
        resil__mailbox_free (&post->replies);
        return ENOMEM;
    }
    post->hook.notify = notify;
    resil__mailbox_set_reader (post->replies, self_of (self), &post->hook);
    resil__mailbox_open (post->replies);
    give_replies (self); /*  nothing yet: from now on it is told                          */
    return 0;
}

static void on_call (resil__process_t *self, const resil__frame_t *frame)
{
    resil_message_t *message =
        resil_message_new (frame->call.tag, frame->call.bytes.at, frame->call.bytes.size);
    resil__call_t *call = message ? resil__call_new () : NULL;
    int error = call ? have_replies (self) : ENOMEM;
    if (call && !error) {
        call->caller = resil__mailbox_address (self->post->replies);
        call->context = frame->call.ticket;
        call->incarnation = self_of (self)->incarnation;
        resil__call_attach (call, message);
        message->deadline_us = deadline_us (frame->call.timeout_ms);
        error = put (self, frame->call.to, message, RESIL_FULL_FAILS);
        if (error)
            resil__call_abandon (call);
    }
    resil__call_release (call); /*  who waits is there, and has its own deadline              */
    if (!error)
        return;
    resil_message_destroy (&message);
    say_result (self, frame->call.ticket, error, NULL);
}

/*  ---- The rest --------------------------------------------------------------------------------------------------- */

static void on_find (resil__process_t *self, const resil__frame_t *frame)
{
    char path[RESIL__FRAME_PATH_MAX + 1], from_root[sizeof path + RESIL_PATH_MAX + 3];
    resil_address_t address = RESIL_NOBODY;
    resil__frame_string (frame->find.path, path, sizeof path);
    if (*path == '/')
        strcpy (from_root, path);
    else
        snprintf (from_root, sizeof from_root, "/%s/%s", self->supervisor, path);
    int error = 0;
    if (!*path || !self->find)
        error = (resil__refuse (EINVAL, "the path is empty"), EINVAL);
    else if (self->find (self_of (self)->carrier->owner, from_root, &address))
        error = errno;
    resil__post_answer (self, frame->find.ticket, error, error ? 0 : number_of (self, address));
}

/*  As the component itself would. */
static void on_watch (resil__process_t *self, uint64_t ticket, uint64_t whom,
                      const uint64_t *context)
{
    resil_self_t *inside = self_of (self);
    resil_address_t address = address_of (self, whom);
    resil__self_set_current (inside);
    int rc = context ? resil_watch (inside, address, *context) : resil_unwatch (inside, address);
    int error = rc ? errno : 0;
    resil__self_set_current (NULL);
    resil__post_answer (self, ticket, error, 0);
}

void resil__post_hear (resil__process_t *self, const resil__frame_t *frame)
{
    switch ((resil__frame_kind_t) frame->kind) {
    case RESIL__FRAME_TAKE:
        on_take (self, frame);
        break;
    case RESIL__FRAME_HANDLED:
        on_handled (self, frame);
        break;
    case RESIL__FRAME_KEPT:
        on_kept (self, frame);
        break;
    case RESIL__FRAME_FIND:
        on_find (self, frame);
        break;
    case RESIL__FRAME_SEND:
        on_send (self, frame);
        break;
    case RESIL__FRAME_CALL:
        on_call (self, frame);
        break;
    case RESIL__FRAME_REPLY:
        on_reply (self, frame);
        break;
    case RESIL__FRAME_DROP:
        on_drop (self, frame);
        break;
    case RESIL__FRAME_WATCH:
        on_watch (self, frame->watch.ticket, frame->watch.whom, &frame->watch.context);
        break;
    case RESIL__FRAME_UNWATCH:
        on_watch (self, frame->unwatch.ticket, frame->unwatch.whom, NULL);
        break;
    default:
        break;
    }
}

static void close_replies (resil__process_t *self)
{
    resil__post_t *post = self->post;
    if (!post->replies)
        return;
    resil__mailbox_leave (post->replies, self_of (self));
    resil__mailbox_close (post->replies);
    resil__mailbox_free (&post->replies);
}

/*  The addresses that it knew are not the next one's. */
void resil__post_end (resil__process_t *self, bool failed)
{
    resil__post_t *post = self->post;
    resil__inbox_end (self_of (self), failed);
    if (!post)
        return;
    close_replies (self);
    while (post->kept) {
        resil_message_t *message = take_kept (&post->kept);
        resil_message_destroy (&message);
    }
    for (size_t i = 0; i < post->known_count; i++)
        free (post->known[i]);
    free (post->known);
    resil__index_release (&post->by_address);
    free (post);
    self->post = NULL;
}

void resil__post_release (resil__process_t *self)
{
    if (self->post)
        resil__post_end (self, true);
    resil__inbox_release (self_of (self));
}
