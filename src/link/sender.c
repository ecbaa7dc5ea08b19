/*  A frame is first taken for what its numbers make it, and then does what the table says in this state.

    SPDX-License-Identifier: Apache-2.0 */
#include "link/sender.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "foundation/errmsg.h"

/*  ---- The table ------------------------------------------------------------------------------------- */

/*  What a frame is taken for. */
typedef enum { WELCOME, ACK, RESEND, WHO, BYE, USURPED, STALE, ALIEN, MEANINGS } meaning_t;

typedef resil__link_outcome_t (action_fn) (resil__link_sender_t *self,
                                           const resil__link_frame_t *frame);

static action_fn ignore, count, refuse, open_up, grant, confirm, go_back, greet, farewell, leave,
    fence;

static action_fn *const cells[RESIL__SENDER_STATES][MEANINGS] =
    {[RESIL__SENDER_GREETING] = {[WELCOME] = open_up,
                                 [ACK] = ignore,
                                 [RESEND] = ignore,
                                 [WHO] = greet,
                                 [BYE] = leave,
                                 [USURPED] = fence,
                                 [STALE] = count,
                                 [ALIEN] = refuse},
     [RESIL__SENDER_OPEN] = {[WELCOME] = grant,
                             [ACK] = confirm,
                             [RESEND] = go_back,
                             [WHO] = greet,
                             [BYE] = leave,
                             [USURPED] = fence,
                             [STALE] = count,
                             [ALIEN] = refuse},
     [RESIL__SENDER_ENDED] = {[WELCOME] = farewell,
                              [ACK] = farewell,
                              [RESEND] = farewell,
                              [WHO] = farewell,
                              [BYE] = ignore,
                              [USURPED] = fence,
                              [STALE] = farewell,
                              [ALIEN] = refuse},
     [RESIL__SENDER_ABORTED] = {[WELCOME] = farewell,
                                [ACK] = farewell,
                                [RESEND] = farewell,
                                [WHO] = farewell,
                                [BYE] = ignore,
                                [USURPED] = fence,
                                [STALE] = farewell,
                                [ALIEN] = refuse},
     [RESIL__SENDER_FENCED] = {[WELCOME] = ignore,
                               [ACK] = ignore,
                               [RESEND] = ignore,
                               [WHO] = ignore,
                               [BYE] = ignore,
                               [USURPED] = ignore,
                               [STALE] = ignore,
                               [ALIEN] = refuse}};

static bool is_of_receiver (unsigned type)
{
    return type == RESIL__LINK_WELCOME || type == RESIL__LINK_ACK || type == RESIL__LINK_NACK ||
           type == RESIL__LINK_BYE;
}

/*  Is it about what has never been sent? */
static bool is_beyond (const resil__link_sender_t *self, const resil__link_frame_t *frame)
{
    return frame->sequence > self->top ||
           (frame->type == RESIL__LINK_ACK && frame->sequence == self->top);
}

static meaning_t meaning_of (const resil__link_sender_t *self, const resil__link_frame_t *frame)
{
    if (frame->link != self->link || !is_of_receiver (frame->type))
        return ALIEN;
    if (frame->sender > self->incarnation)
        return USURPED;
    if (frame->receiver < self->receiver)
        return STALE;
    if (frame->type == RESIL__LINK_NACK && frame->reason == RESIL__LINK_WHO)
        return WHO;
    if (frame->sender != self->incarnation || frame->session != self->session)
        return STALE;
    if (frame->type == RESIL__LINK_BYE)
        return BYE;
    if (frame->receiver > self->receiver)
        return WHO;
    if (is_beyond (self, frame))
        return ALIEN;
    switch (frame->type) {
    case RESIL__LINK_WELCOME:
        return WELCOME;
    case RESIL__LINK_ACK:
        return ACK;
    default:
        return RESEND;
    }
}

/*  ---- What it holds --------------------------------------------------------------------------------- */

static resil__link_slot_t *slot_of (const resil__link_sender_t *self, uint64_t sequence)
{
    return &self->slots[sequence % self->room];
}

static uint64_t position_of (const resil__link_sender_t *self, uint64_t sequence)
{
    return sequence == self->next ? self->position : slot_of (self, sequence)->position;
}

/*  All below that sequence. */
static void let_go (resil__link_sender_t *self, uint64_t below)
{
    for (; self->first < below; self->first++) {
        resil__link_slot_t *slot = slot_of (self, self->first);
        resil__record_batch_release (slot->batch);
        slot->batch = NULL;
        slot->position = 0;
    }
    if (self->sent < self->first)
        self->sent = self->first;
    if (self->top < self->sent)
        self->top = self->sent;
}

/*  Where the receiver wants to have it from; not what it has confirmed, which old frames may ask for. */
static void send_from (resil__link_sender_t *self, uint64_t sequence)
{
    self->sent = sequence > self->first ? sequence : self->first;
}

static bool may_send (const resil__link_sender_t *self)
{
    return self->sent < self->next && self->sent <= self->limit_batches &&
           slot_of (self, self->sent)->position < self->limit_bytes;
}

/*  ---- What is done ---------------------------------------------------------------------------------- */

static resil__link_outcome_t ignore (resil__link_sender_t *self, const resil__link_frame_t *frame)
{
    (void) self;
    (void) frame;
    return RESIL__LINK_NOTHING;
}

static resil__link_outcome_t count (resil__link_sender_t *self, const resil__link_frame_t *frame)
{
    (void) frame;
    self->stale++;
    return RESIL__LINK_STALE;
}

static resil__link_outcome_t refuse (resil__link_sender_t *self, const resil__link_frame_t *frame)
{
    const char *name = resil__link_frame_name (frame->type);
    if (frame->link != self->link)
        resil__refuse (EPROTO, "a frame %s of link %llu has come to link %llu", name,
                       (unsigned long long) frame->link, (unsigned long long) self->link);
    else if (!is_of_receiver (frame->type))
        resil__refuse (EPROTO, "a frame %s has come to a sender, which is who sends them", name);
    else
        resil__refuse (EPROTO, "a frame %s is about sequence %llu; only those up to %llu were sent",
                       name, (unsigned long long) frame->sequence,
                       (unsigned long long) (self->top - 1));
    return RESIL__LINK_REFUSED;
}

static resil__link_outcome_t grant (resil__link_sender_t *self, const resil__link_frame_t *frame)
{
    if (self->limit_batches < frame->limit_batches)
        self->limit_batches = frame->limit_batches;
    if (self->limit_bytes < frame->limit_bytes)
        self->limit_bytes = frame->limit_bytes;
    return RESIL__LINK_NOTHING;
}

static resil__link_outcome_t open_up (resil__link_sender_t *self, const resil__link_frame_t *frame)
{
    grant (self, frame);
    send_from (self, frame->sequence);
    self->state = RESIL__SENDER_OPEN;
    return RESIL__LINK_OPENED;
}

static resil__link_outcome_t confirm (resil__link_sender_t *self, const resil__link_frame_t *frame)
{
    grant (self, frame);
    if (frame->sequence < self->first)
        return RESIL__LINK_NOTHING;
    let_go (self, frame->sequence + 1);
    if (self->end == 0 || frame->sequence < self->end)
        return RESIL__LINK_CONFIRMED;
    self->state = RESIL__SENDER_ENDED;
    self->owes_bye = true;
    return RESIL__LINK_ENDED;
}

static resil__link_outcome_t go_back (resil__link_sender_t *self, const resil__link_frame_t *frame)
{
    if (frame->sequence < self->sent)
        send_from (self, frame->sequence);
    return RESIL__LINK_NOTHING;
}

static void meet (resil__link_sender_t *self, uint64_t receiver)
{
    if (receiver <= self->receiver)
        return;
    self->receiver = receiver;
    self->limit_batches = self->limit_bytes = 0;
}

static resil__link_outcome_t greet (resil__link_sender_t *self, const resil__link_frame_t *frame)
{
    meet (self, frame->receiver);
    self->state = RESIL__SENDER_GREETING;
    self->owes_hello = true;
    return RESIL__LINK_NOTHING;
}

/*  Who has missed it may know a former life of this sender only. */
static resil__link_outcome_t farewell (resil__link_sender_t *self, const resil__link_frame_t *frame)
{
    meet (self, frame->receiver);
    self->owes_bye = true;
    return RESIL__LINK_NOTHING;
}

static resil__link_outcome_t leave (resil__link_sender_t *self, const resil__link_frame_t *frame)
{
    if (frame->reason == RESIL__LINK_COMPLETED) {
        let_go (self, self->next);
        self->state = RESIL__SENDER_ENDED;
        return RESIL__LINK_ENDED;
    }
    self->state = RESIL__SENDER_ABORTED;
    resil__refuse (ECONNABORTED, "the receiver of link %llu takes no more",
                   (unsigned long long) self->link);
    return RESIL__LINK_BROKEN;
}

static resil__link_outcome_t fence (resil__link_sender_t *self, const resil__link_frame_t *frame)
{
    (void) frame;
    self->state = RESIL__SENDER_FENCED;
    self->owes_bye = false;
    return RESIL__LINK_FENCED;
}

/*  ---- The owner ------------------------------------------------------------------------------------- */

void resil__link_sender_init (resil__link_sender_t *self, uint64_t link, uint64_t session,
                              uint64_t incarnation, resil__link_slot_t *slots, size_t room,
                              size_t room_bytes, const resil__link_times_t *times)
{
    assert (link && session && incarnation && slots && room && room_bytes);
    memset (self, 0, sizeof *self);
    memset (slots, 0, room * sizeof *slots);
    self->times = *times;
    self->slots = slots;
    self->room = room;
    self->room_bytes = room_bytes;
    self->link = link;
    self->session = session;
    self->incarnation = incarnation;
    self->first = self->sent = self->top = self->next = 1;
    self->owes_hello = true;
}

void resil__link_sender_release (resil__link_sender_t *self)
{
    let_go (self, self->next);
}

static bool is_live (const resil__link_sender_t *self)
{
    return self->state == RESIL__SENDER_GREETING || self->state == RESIL__SENDER_OPEN;
}

int resil__link_sender_restart (resil__link_sender_t *self, uint64_t incarnation)
{
    if (incarnation <= self->incarnation)
        return resil__refuse (EINVAL, "incarnation %llu of a sender cannot follow incarnation %llu",
                              (unsigned long long) incarnation,
                              (unsigned long long) self->incarnation);
    self->incarnation = incarnation;
    if (is_live (self)) {
        self->state = RESIL__SENDER_GREETING;
        self->owes_hello = true;
    }
    return 0;
}

bool resil__link_sender_has_room (const resil__link_sender_t *self)
{
    return self->next - self->first < self->room &&
           self->position - position_of (self, self->first) < self->room_bytes;
}

/*  0: another one may be added. */
static int check_open (const resil__link_sender_t *self)
{
    if (!is_live (self) || self->end)
        return resil__refuse (EPIPE, "link %llu takes no more: it %s",
                              (unsigned long long) self->link,
                              self->end ? "was told that there is no more" : "is at its end");
    if (!resil__link_sender_has_room (self))
        return resil__refuse (
            EAGAIN, "link %llu holds %llu batches, which are not confirmed: it may hold no more",
            (unsigned long long) self->link, (unsigned long long) (self->next - self->first));
    return 0;
}

static void add (resil__link_sender_t *self, resil__record_batch_t *batch)
{
    resil__link_slot_t *slot = slot_of (self, self->next++);
    slot->batch = batch;
    slot->position = self->position;
}

int resil__link_sender_put (resil__link_sender_t *self, resil__record_batch_t *batch)
{
    if (batch->count == 0)
        return resil__refuse (EINVAL, "a batch has no records");
    if (batch->size > RESIL__LINK_PAYLOAD_MAX)
        return resil__refuse (EMSGSIZE, "a batch has %zu bytes; %zu are allowed", batch->size,
                              RESIL__LINK_PAYLOAD_MAX);
    if (check_open (self) != 0)
        return -1;
    add (self, batch);
    self->position += batch->size;
    return 0;
}

int resil__link_sender_end (resil__link_sender_t *self)
{
    if (check_open (self) != 0)
        return -1;
    self->end = self->next;
    add (self, NULL);
    return 0;
}

void resil__link_sender_abort (resil__link_sender_t *self)
{
    if (!is_live (self))
        return;
    self->state = RESIL__SENDER_ABORTED;
    self->owes_bye = true;
}

resil__link_outcome_t resil__link_sender_take (resil__link_sender_t *self, int64_t now_ms,
                                               const resil__link_frame_t *frame)
{
    meaning_t meaning = meaning_of (self, frame);
    if (meaning < USURPED)
        self->heard_at_ms = now_ms;
    return cells[self->state][meaning](self, frame);
}

/*  What it has to say next, and when. */
static int64_t due (const resil__link_sender_t *self, uint8_t *type)
{
    *type = RESIL__LINK_BYE;
    if (self->owes_bye)
        return RESIL__LINK_NOW;
    if (self->state == RESIL__SENDER_GREETING) {
        *type = RESIL__LINK_HELLO;
        return self->owes_hello ? RESIL__LINK_NOW : self->said_at_ms + self->times.repeat_ms;
    }
    if (self->state != RESIL__SENDER_OPEN)
        return RESIL__LINK_NEVER;
    if (may_send (self)) {
        *type = self->sent == self->end ? RESIL__LINK_EOS : RESIL__LINK_DATA;
        return RESIL__LINK_NOW;
    }
    *type = RESIL__LINK_PING;
    return self->said_at_ms + self->times.ping_ms;
}

int64_t resil__link_sender_due_at (const resil__link_sender_t *self)
{
    uint8_t type;
    return due (self, &type);
}

static void fill_in_batch (resil__link_sender_t *self, resil__link_frame_t *frame)
{
    const resil__link_slot_t *slot = slot_of (self, self->sent++);
    if (self->top < self->sent)
        self->top = self->sent;
    else
        self->resent++;
    frame->position = slot->position;
    if (!slot->batch)
        return;
    frame->batch = slot->batch;
    frame->count = slot->batch->count;
    frame->payload = slot->batch->payload;
    frame->size = slot->batch->size;
}

bool resil__link_sender_next (resil__link_sender_t *self, int64_t now_ms,
                              resil__link_frame_t *frame)
{
    uint8_t type;
    if (due (self, &type) > now_ms)
        return false;
    *frame = (resil__link_frame_t){.type = type,
                                   .link = self->link,
                                   .session = self->session,
                                   .sender = self->incarnation,
                                   .receiver = self->receiver};
    switch (type) {
    case RESIL__LINK_HELLO:
        frame->sequence = self->first;
        frame->position = position_of (self, self->first);
        self->owes_hello = false;
        break;
    case RESIL__LINK_BYE:
        frame->reason =
            self->state == RESIL__SENDER_ENDED ? RESIL__LINK_COMPLETED : RESIL__LINK_ABORTED;
        self->owes_bye = false;
        break;
    case RESIL__LINK_PING:
        frame->sequence = self->sent;
        break;
    default:
        frame->sequence = self->sent;
        fill_in_batch (self, frame);
        break;
    }
    self->said_at_ms = now_ms;
    return true;
}

const char *resil__sender_state_name (unsigned state)
{
    static const char *const names[RESIL__SENDER_STATES] = {"greeting", "open", "ended", "aborted",
                                                            "fenced"};
    return names[state];
}
