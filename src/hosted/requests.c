/*  SPDX-License-Identifier: Apache-2.0 */
#include "hosted/requests.h"

#include <errno.h>
#include <string.h>

#include "foundation/clock.h"
#include "foundation/errmsg.h"
#include "foundation/futex.h"
#include "mailbox/afar.h"
#include "mailbox/call.h"

/*  The parent answers in microseconds; who gets no answer for so long is told so. */
#define ANSWER_MS 10000

/*  Who waits for room in a mailbox of the parent's tries so often. */
#define RETRY_US 5000

/*  A thread that waits for an answer: it lies on that thread's stack. */
typedef struct _asker_t {
    struct _asker_t *next;
    uint64_t ticket;
    atomic_uint is_answered;
    int error;
    uint64_t value;
    char text[RESIL__FRAME_TEXT_MAX + 1];
} asker_t;

static struct {
    resil__link_t *link;
    resil__mailbox_t *mailbox;
    uint64_t address;

    pthread_mutex_t lock;   /*  guards the next three                                    */
    asker_t *askers;        /*  that wait for an ANSWER, or SAVED                         */
    resil_message_t *calls; /*  whose RESULT is to come; the ticket is their `context`    */
    uint64_t tickets;       /*  given, ever                                              */

    /*  the component's thread only */
    uint64_t asked_for; /*  the number of the last message that was                       */
    bool is_awaited;    /*  that one has not been taken yet                               */
    uint64_t in_hand;   /*  its number; 0: nothing of the parent's is                     */
} the = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int64_t until_ms (int64_t deadline_us)
{
    int64_t now_us = resil__now_us ();
    if (deadline_us == RESIL__NEVER)
        return RESIL_FOREVER;
    return deadline_us > now_us ? (deadline_us - now_us + 999) / 1000 : 0;
}

/*  ---- Questions ------------------------------------------------------------------------------------- */

static void begin_to_ask (asker_t *asker)
{
    pthread_mutex_lock (&the.lock);
    asker->ticket = ++the.tickets;
    asker->next = the.askers;
    the.askers = asker;
    pthread_mutex_unlock (&the.lock);
}

static void end_to_ask (const asker_t *asker)
{
    pthread_mutex_lock (&the.lock);
    asker_t **at = &the.askers;
    while (*at != asker)
        at = &(*at)->next;
    *at = asker->next;
    pthread_mutex_unlock (&the.lock);
}

/*  Say the frame, which has the asker's ticket, and wait for the answer: 0, or the errno that it has; then the sentence is
    there. */
static int ask_until (asker_t *asker, const resil__frame_t *frame, int64_t timeout_ms)
{
    int error = resil__link_say (the.link, *frame) ? errno : 0;
    int64_t deadline_us = resil__deadline_us (resil__now_us (), timeout_ms);
    while (!error && !atomic_load (&asker->is_answered)) {
        resil__futex_wait (&asker->is_answered, 0, deadline_us);
        if (resil__now_us () >= deadline_us && !atomic_load (&asker->is_answered)) {
            resil__refuse (ETIMEDOUT, "the parent has not answered to %s within %lld ms",
                           resil__frame_name (frame->kind), (long long) timeout_ms);
            error = ETIMEDOUT;
        }
    }
    end_to_ask (asker);
    if (error)
        return error;
    if (asker->error)
        resil__refuse (asker->error, "%s", asker->text);
    return asker->error;
}

static int ask (asker_t *asker, const resil__frame_t *frame)
{
    return ask_until (asker, frame, ANSWER_MS);
}

static void answer (uint64_t ticket, int error, uint64_t value, resil__bytes_t text)
{
    pthread_mutex_lock (&the.lock);
    asker_t *asker = the.askers;
    while (asker && asker->ticket != ticket)
        asker = asker->next;
    if (asker) {
        asker->error = error;
        asker->value = value;
        resil__frame_string (text, asker->text, sizeof asker->text);
        atomic_store (&asker->is_answered, 1);
        resil__futex_wake (&asker->is_answered);
    }
    pthread_mutex_unlock (&the.lock);
}

static resil__frame_t question (const asker_t *asker, const char *path)
{
    resil__frame_t frame = {.kind = RESIL__FRAME_FIND};
    frame.find.ticket = asker->ticket;
    frame.find.path = resil__frame_text (path);
    return frame;
}

void resil__requests_settle (const char *name, int64_t timeout_ms)
{
    asker_t asker = {0};
    if (!the.link)
        return;
    begin_to_ask (&asker);
    resil__frame_t frame = question (&asker, name);
    ask_until (&asker, &frame, timeout_ms);
}

static int find (const char *path, resil_address_t *address)
{
    asker_t asker = {0};
    begin_to_ask (&asker);
    resil__frame_t frame = question (&asker, path);
    int error = ask (&asker, &frame);
    if (error) {
        errno = error;
        return -1;
    }
    *address = resil__afar_address (asker.value);
    return 0;
}

static int save (const void *bytes, size_t size)
{
    asker_t asker = {0};
    begin_to_ask (&asker);
    resil__frame_t frame = {.kind = RESIL__FRAME_SAVE};
    frame.save.ticket = asker.ticket;
    frame.save.bytes = (resil__bytes_t){bytes, size};
    int error = ask (&asker, &frame);
    errno = error;
    return error ? -1 : 0;
}

/*  ---- Sending --------------------------------------------------------------------------------------- */

/*  The number of the call that came as this message; 0: it is none. */
static uint64_t number_of (resil_message_t *message)
{
    const resil__call_t *call =
        message->kind == RESIL_MESSAGE_CALL ? atomic_load (&message->call) : NULL;
    return call && resil__is_afar (call->caller.place) ? call->caller.number : 0;
}

/*  It is replied to there: not by us any more. */
static void give_away (resil_message_t *message)
{
    resil__call_t *call = atomic_load (&message->call);
    if (message->kind == RESIL_MESSAGE_CALL && call)
        resil__call_abandon (call);
    resil_message_destroy (&message);
}

/*  An errno. */
static int send_it (uint64_t to, resil_message_t *message, resil_full_t full)
{
    asker_t asker = {0};
    begin_to_ask (&asker);
    resil__frame_t frame = {.kind = RESIL__FRAME_SEND};
    frame.send.ticket = asker.ticket;
    frame.send.to = to;
    frame.send.tag = message->tag;
    frame.send.full = full == RESIL_FULL_DROPS_OLDEST;
    frame.send.expires_ms = until_ms (message->deadline_us);
    frame.send.mail = number_of (message);
    frame.send.bytes = (resil__bytes_t){message->bytes, message->size};
    int error = ask (&asker, &frame);
    if (!error)
        give_away (message);
    return error;
}

/*  An errno. What becomes of it is told by RESULT. */
static int call (uint64_t to, resil_message_t *message)
{
    resil__frame_t frame = {.kind = RESIL__FRAME_CALL};
    pthread_mutex_lock (&the.lock);
    message->context = frame.call.ticket = ++the.tickets;
    message->next = the.calls;
    the.calls = message;
    pthread_mutex_unlock (&the.lock);
    frame.call.to = to;
    frame.call.tag = message->tag;
    frame.call.timeout_ms = until_ms (message->deadline_us);
    frame.call.bytes = (resil__bytes_t){message->bytes, message->size};
    if (resil__link_say (the.link, frame) == 0)
        return 0;
    int error = errno;
    pthread_mutex_lock (&the.lock);
    resil_message_t **at = &the.calls;
    while (*at && *at != message)
        at = &(*at)->next;
    if (*at)
        *at = message->next;
    pthread_mutex_unlock (&the.lock);
    return error;
}

static int put (uint64_t to, resil_message_t *message, resil_full_t full, int64_t deadline_us)
{
    bool is_own_call =
        message->kind == RESIL_MESSAGE_CALL && atomic_load (&message->call) && !number_of (message);
    if (is_own_call)
        return call (to, message);
    for (;;) {
        int error = send_it (to, message, full);
        if (error != EAGAIN || full != RESIL_FULL_WAITS)
            return error;
        int64_t now_us = resil__now_us ();
        if (now_us >= deadline_us)
            return ETIMEDOUT;
        int64_t until_us = deadline_us - now_us > RETRY_US ? now_us + RETRY_US : deadline_us;
        struct timespec until = resil__deadline_spec (until_us);
        clock_nanosleep (CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
    }
}

/*  ---- Replies --------------------------------------------------------------------------------------- */

/*  A promise that was broken is told. Why else there is no reply, the parent knows best: it has the call still, and may
    have it answered by the next incarnation. */
static void reply (uint64_t number, resil_message_t *message)
{
    resil__frame_t frame = {.kind = message->code ? RESIL__FRAME_DROP : RESIL__FRAME_REPLY};
    if (message->code)
        frame.drop.mail = number;
    else {
        frame.reply.mail = number;
        frame.reply.tag = message->tag;
        frame.reply.bytes = (resil__bytes_t){message->bytes, message->size};
    }
    if (message->code == 0 || message->code == EPIPE)
        resil__link_say (the.link, frame);
    resil__message_free (message);
}

static resil_message_t *take_call (uint64_t ticket)
{
    pthread_mutex_lock (&the.lock);
    resil_message_t **at = &the.calls;
    while (*at && (*at)->context != ticket)
        at = &(*at)->next;
    resil_message_t *request = *at;
    if (request)
        *at = request->next;
    pthread_mutex_unlock (&the.lock);
    return request;
}

static void take_result (const resil__frame_t *frame)
{
    resil_message_t *request = take_call (frame->result.ticket), *message = NULL;
    int error = frame->result.error;
    if (!request)
        return;
    if (!error) {
        message =
            resil_message_new (frame->result.tag, frame->result.bytes.at, frame->result.bytes.size);
        error = message ? 0 : ENOMEM;
    }
    if (error)
        resil__call_break (request, error);
    else {
        message->sender = resil__afar_address (frame->result.sender);
        if (resil__call_answer (request, message))
            resil__message_free (message); /*  nobody waits any more                     */
    }
    resil_message_destroy (&request);
}

/*  ---- Mail ------------------------------------------------------------------------------------------ */

/*  It is a call, whose reply goes to the parent. False: no memory. */
static bool become_call (resil_message_t *message, uint64_t number)
{
    resil__call_t *call = resil__call_new ();
    if (!call)
        return false;
    call->caller = resil__afar_address (number);
    resil__call_attach (call, message);
    resil__call_release (call); /*  nobody waits for it here                             */
    return true;
}

static resil_message_t *note_of (const resil__frame_t *frame)
{
    resil_message_t *note = resil__message_note (RESIL_MESSAGE_DOWN);
    if (!note)
        return NULL;
    size_t size = frame->mail.bytes.size;
    note->size = size < RESIL_MESSAGE_INLINE ? size : RESIL_MESSAGE_INLINE;
    if (size)
        memcpy (note->in_here, frame->mail.bytes.at, note->size);
    note->tag = frame->mail.tag;
    note->context = frame->mail.context;
    note->code = frame->mail.code;
    note->incarnation = frame->incarnation;
    return note;
}

static resil_message_t *message_of (const resil__frame_t *frame)
{
    if (frame->mail.kind == RESIL_MESSAGE_DOWN)
        return note_of (frame);
    resil_message_t *message =
        resil_message_new (frame->mail.tag, frame->mail.bytes.at, frame->mail.bytes.size);
    if (message)
        message->sent_at_us = resil__coarse_now_us ();
    if (message && frame->mail.kind == RESIL_MESSAGE_CALL &&
        !become_call (message, frame->mail.number))
        resil_message_destroy (&message);
    return message;
}

static void take_mail (const resil__frame_t *frame)
{
    resil_message_t *message = message_of (frame);
    if (!message) /*  without memory: it stays in hand, and is told as such at the end            */
        return;
    message->sender = resil__afar_address (frame->mail.sender);
    message->retries = (uint16_t) frame->mail.deliveries;
    resil_address_t here = resil__mailbox_address (the.mailbox);
    int error = message->kind == RESIL_MESSAGE_DOWN
                    ? resil__mailbox_put_control (here, message)
                    : resil__mailbox_put (here, message, RESIL_FULL_FAILS, 0);
    if (error)
        resil__message_free (message);
}

static bool is_parents (const resil_message_t *message)
{
    return message->kind <= RESIL_MESSAGE_CALL ||
           (message->kind == RESIL_MESSAGE_DOWN && resil__is_afar (message->sender.place));
}

static void say_number (resil__frame_kind_t kind, uint64_t number)
{
    resil__frame_t frame = {.kind = (uint8_t) kind};
    frame.take.up_to = number; /*  where all of these have it                            */
    resil__link_say (the.link, frame);
}

static void handled (void)
{
    if (the.in_hand)
        say_number (RESIL__FRAME_HANDLED, the.in_hand);
    the.in_hand = 0;
}

static void kept (void)
{
    if (the.in_hand)
        say_number (RESIL__FRAME_KEPT, the.in_hand);
    the.in_hand = 0;
}

static void took (const resil_message_t *message)
{
    handled ();
    if (message && is_parents (message)) {
        the.in_hand = the.asked_for;
        the.is_awaited = false;
    }
    else if (!message && !the.is_awaited) {
        the.is_awaited = true;
        say_number (RESIL__FRAME_TAKE, ++the.asked_for);
    }
}

/*  ---- The rest -------------------------------------------------------------------------------------- */

static void watch (uint64_t whom, uint64_t context)
{
    resil__frame_t frame = {.kind = RESIL__FRAME_WATCH};
    frame.watch.whom = whom;
    frame.watch.context = context;
    resil__link_say (the.link, frame);
}

static void unwatch (uint64_t whom)
{
    resil__frame_t frame = {.kind = RESIL__FRAME_UNWATCH};
    frame.unwatch.whom = whom;
    resil__link_say (the.link, frame);
}

static resil_address_t own (void)
{
    return resil__afar_address (the.address);
}

static const resil__afar_t requests = {.put = put,
                                       .reply = reply,
                                       .watch = watch,
                                       .unwatch = unwatch,
                                       .find = find,
                                       .save = save,
                                       .own = own,
                                       .took = took,
                                       .handled = handled,
                                       .kept = kept};

void resil__requests_begin (resil__link_t *link, resil__mailbox_t *mailbox, uint64_t address)
{
    the.link = link;
    the.mailbox = mailbox;
    the.address = address;
    resil__afar = &requests;
}

bool resil__requests_hear (const resil__frame_t *frame)
{
    static const resil__bytes_t nothing = {"", 0};
    switch ((resil__frame_kind_t) frame->kind) {
    case RESIL__FRAME_MAIL:
        take_mail (frame);
        return true;
    case RESIL__FRAME_ANSWER:
        answer (frame->answer.ticket, frame->answer.error, frame->answer.value, frame->answer.text);
        return true;
    case RESIL__FRAME_RESULT:
        take_result (frame);
        return true;
    case RESIL__FRAME_SAVED:
        answer (frame->saved.ticket, 0, 0, nothing);
        return true;
    default:
        return false;
    }
}

void resil__requests_end (void)
{
    pthread_mutex_lock (&the.lock);
    resil_message_t *calls = the.calls;
    the.calls = NULL;
    pthread_mutex_unlock (&the.lock);
    while (calls) {
        resil_message_t *call = calls;
        calls = call->next;
        resil_message_destroy (&call);
    }
}
