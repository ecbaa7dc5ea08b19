/*  A frame is first taken for what its numbers make it, and then does what the table says in this state.

    SPDX-License-Identifier: Apache-2.0 */
#include "link/receiver.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "foundation/errmsg.h"

/*  What it owes. */
enum { A_BYE = 1, A_WELCOME = 2, AN_ACK = 4, A_RESEND = 8, A_WHO = 16 };

/*  ---- The table ------------------------------------------------------------------------------------- */

/*  What a frame is taken for. */
typedef enum {
    HELLO,
    BLIND,
    BATCH,
    PING,
    BYE,
    LATE,
    AHEAD,
    USURPED,
    STALE,
    ALIEN,
    MEANINGS
} meaning_t;

typedef resil__link_outcome_t (action_fn) (resil__link_receiver_t *self,
                                           const resil__link_frame_t *frame);

static action_fn ignore, count, refuse, greet, ask, take, answer, repeat, farewell, leave, fence;

static action_fn *const
    cells[RESIL__RECEIVER_STATES]
         [MEANINGS] = {
             [RESIL__RECEIVER_CALLING] = {[HELLO] = greet,
                                          [BLIND] = ask,
                                          [BATCH] = ask,
                                          [PING] = ask,
                                          [BYE] = leave,
                                          [LATE] = ask,
                                          [AHEAD] = ask,
                                          [USURPED] = fence,
                                          [STALE] = count,
                                          [ALIEN] = refuse},
             [RESIL__RECEIVER_OPEN] = {[HELLO] = greet,
                                       [BLIND] = ask,
                                       [BATCH] = take,
                                       [PING] = answer,
                                       [BYE] = leave,
                                       [LATE] = count,
                                       [AHEAD] = ask,
                                       [USURPED] = fence,
                                       [STALE] = count,
                                       [ALIEN] = refuse},
             [RESIL__RECEIVER_ENDING] = {[HELLO] = farewell,
                                         [BLIND] = farewell,
                                         [BATCH] = repeat,
                                         [PING] = repeat,
                                         [BYE] = leave,
                                         [LATE] = repeat,
                                         [AHEAD] = count,
                                         [USURPED] = fence,
                                         [STALE] = count,
                                         [ALIEN] = refuse},
             [RESIL__RECEIVER_ENDED] = {[HELLO] = farewell,
                                        [BLIND] = farewell,
                                        [BATCH] = farewell,
                                        [PING] = farewell,
                                        [BYE] = ignore,
                                        [LATE] = farewell,
                                        [AHEAD] = count,
                                        [USURPED] = fence,
                                        [STALE] = count,
                                        [ALIEN] = refuse},
             [RESIL__RECEIVER_ABORTED] = {[HELLO] = farewell,
                                          [BLIND] = farewell,
                                          [BATCH] = farewell,
                                          [PING] = farewell,
                                          [BYE] = ignore,
                                          [LATE] = farewell,
                                          [AHEAD] = count,
                                          [USURPED] = fence,
                                          [STALE] = count,
                                          [ALIEN] = refuse},
             [RESIL__RECEIVER_FENCED] = {[HELLO] = ignore,
                                         [BLIND] = ignore,
                                         [BATCH] = ignore,
                                         [PING] = ignore,
                                         [BYE] = ignore,
                                         [LATE] = ignore,
                                         [AHEAD] = ignore,
                                         [USURPED] = ignore,
                                         [STALE] = ignore,
                                         [ALIEN] = refuse}};

static bool is_of_sender (unsigned type)
{
    return type == RESIL__LINK_HELLO || type == RESIL__LINK_DATA || type == RESIL__LINK_EOS ||
           type == RESIL__LINK_PING || type == RESIL__LINK_BYE;
}

static bool is_of_former_sender (const resil__link_receiver_t *self,
                                 const resil__link_frame_t *frame)
{
    return frame->sender < self->sender || frame->session < self->session ||
           (frame->sender == self->sender && frame->session != self->session);
}

static meaning_t meaning_of (const resil__link_receiver_t *self, const resil__link_frame_t *frame)
{
    if (frame->link != self->link || !is_of_sender (frame->type))
        return ALIEN;
    if (frame->receiver > self->incarnation)
        return USURPED;
    if (is_of_former_sender (self, frame))
        return STALE;
    bool is_for_us = frame->receiver == self->incarnation;
    if (frame->type == RESIL__LINK_HELLO)
        return is_for_us ? HELLO : BLIND;
    if (!is_for_us)
        return LATE;
    if (frame->type == RESIL__LINK_BYE)
        return BYE;
    if (frame->sender > self->sender || frame->session > self->session)
        return AHEAD;
    return frame->type == RESIL__LINK_PING ? PING : BATCH;
}

/*  ---- What was handed out --------------------------------------------------------------------------- */

static resil__link_landing_t *landing_of (const resil__link_receiver_t *self, uint64_t sequence)
{
    return &self->landings[sequence % self->window_batches];
}

/*  All that is handed out and not confirmed is none of this life or session any more. */
static void forget (resil__link_receiver_t *self)
{
    for (uint64_t sequence = self->acked + 1; sequence < self->next; sequence++)
        *landing_of (self, sequence) = (resil__link_landing_t){0, 0};
    self->next = self->acked + 1;
    self->position = self->acked_position;
    self->end = 0;
    self->is_short = false;
}

/*  That batch is the first one. */
static void begin (resil__link_receiver_t *self, const resil__link_frame_t *frame)
{
    forget (self);
    self->session = frame->session;
    self->next = frame->sequence;
    self->acked = frame->sequence - 1;
    self->position = self->acked_position = frame->position;
}

static uint64_t at_most (uint64_t number, uint64_t most)
{
    return number < most ? number : most;
}

/*  What may be sent leaves what comes behind it a number that a frame may have, whatever the sender began with. */
static uint64_t limit_batches (const resil__link_receiver_t *self)
{
    return at_most (self->acked + self->window_batches, RESIL__LINK_NUMBER_MAX - 1);
}

static uint64_t limit_bytes (const resil__link_receiver_t *self)
{
    return at_most (self->acked_position + self->window_bytes,
                    RESIL__LINK_NUMBER_MAX - RESIL__LINK_PAYLOAD_MAX);
}

/*  ---- What is done ---------------------------------------------------------------------------------- */

static resil__link_outcome_t ignore (resil__link_receiver_t *self, const resil__link_frame_t *frame)
{
    (void) self;
    (void) frame;
    return RESIL__LINK_NOTHING;
}

static resil__link_outcome_t count (resil__link_receiver_t *self, const resil__link_frame_t *frame)
{
    (void) frame;
    self->stale++;
    return RESIL__LINK_STALE;
}

static resil__link_outcome_t refuse (resil__link_receiver_t *self, const resil__link_frame_t *frame)
{
    const char *name = resil__link_frame_name (frame->type);
    if (frame->link != self->link)
        resil__refuse (EPROTO, "a frame %s of link %llu has come to link %llu", name,
                       (unsigned long long) frame->link, (unsigned long long) self->link);
    else
        resil__refuse (EPROTO, "a frame %s has come to a receiver, which is who sends them", name);
    return RESIL__LINK_REFUSED;
}

/*  The sentence is there already. */
static resil__link_outcome_t break_off (resil__link_receiver_t *self)
{
    self->state = RESIL__RECEIVER_ABORTED;
    self->owes = A_BYE;
    return RESIL__LINK_BROKEN;
}

static resil__link_outcome_t greet (resil__link_receiver_t *self, const resil__link_frame_t *frame)
{
    bool is_another = self->session != frame->session;
    self->sender = frame->sender;
    if (is_another)
        begin (self, frame);
    if (frame->sequence > self->acked + 1) {
        resil__refuse (EPROTO,
                       "link %llu has lost batches %llu to %llu: its sender has let go of them, "
                       "and they were never confirmed here",
                       (unsigned long long) self->link, (unsigned long long) (self->acked + 1),
                       (unsigned long long) (frame->sequence - 1));
        return break_off (self);
    }
    self->state = RESIL__RECEIVER_OPEN;
    self->owes |= A_WELCOME | AN_ACK;
    self->owes &= (uint8_t) ~A_WHO;
    return RESIL__LINK_OPENED;
}

static resil__link_outcome_t ask (resil__link_receiver_t *self, const resil__link_frame_t *frame)
{
    (void) frame;
    self->owes |= A_WHO;
    return RESIL__LINK_NOTHING;
}

/*  Once, until something comes of it or time has passed. */
static void ask_for_more (resil__link_receiver_t *self)
{
    if (self->is_short)
        return;
    self->gaps++;
    self->is_short = true;
    self->owes |= A_RESEND;
}

static resil__link_outcome_t take (resil__link_receiver_t *self, const resil__link_frame_t *frame)
{
    if (frame->sequence < self->next) {
        self->duplicates++;
        self->owes |= AN_ACK;
        return RESIL__LINK_DUPLICATE;
    }
    const char *wrong = NULL;
    if (self->end)
        wrong = "it is behind the end";
    else if (frame->sequence > limit_batches (self))
        wrong = "the limits do not allow it yet";
    else if (frame->sequence > self->next) {
        ask_for_more (self);
        return RESIL__LINK_GAP;
    }
    else if (self->position >= limit_bytes (self))
        wrong = "the limits do not allow it yet";
    else if (frame->position != self->position)
        wrong = "it is not at the position where the one before it ends";
    if (wrong) {
        resil__refuse (EPROTO, "link %llu was sent batch %llu, but %s",
                       (unsigned long long) self->link, (unsigned long long) frame->sequence,
                       wrong);
        return break_off (self);
    }
    self->position += frame->size;
    *landing_of (self, self->next) = (resil__link_landing_t){self->position, 0};
    if (frame->type == RESIL__LINK_EOS)
        self->end = self->next;
    self->next++;
    self->is_short = false;
    self->owes &= (uint8_t) ~A_RESEND;
    return RESIL__LINK_DELIVERED;
}

static resil__link_outcome_t answer (resil__link_receiver_t *self, const resil__link_frame_t *frame)
{
    self->owes |= AN_ACK;
    if (frame->sequence <= self->next)
        return RESIL__LINK_NOTHING;
    ask_for_more (self);
    self->owes |= A_RESEND;
    return RESIL__LINK_GAP;
}

static resil__link_outcome_t repeat (resil__link_receiver_t *self, const resil__link_frame_t *frame)
{
    (void) frame;
    self->owes |= AN_ACK;
    return RESIL__LINK_NOTHING;
}

static resil__link_outcome_t farewell (resil__link_receiver_t *self,
                                       const resil__link_frame_t *frame)
{
    self->sender = frame->sender;
    self->session = frame->session;
    self->owes = A_BYE;
    if (self->state != RESIL__RECEIVER_ENDING)
        return RESIL__LINK_NOTHING;
    self->state = RESIL__RECEIVER_ENDED;
    return RESIL__LINK_ENDED;
}

static resil__link_outcome_t leave (resil__link_receiver_t *self, const resil__link_frame_t *frame)
{
    bool is_completed = frame->reason == RESIL__LINK_COMPLETED;
    bool was_open = self->state == RESIL__RECEIVER_OPEN;
    bool is_done = self->state == RESIL__RECEIVER_ENDING;
    self->sender = frame->sender;
    self->session = frame->session;
    self->owes = 0;
    if (is_done || (is_completed && !was_open)) {
        self->state = RESIL__RECEIVER_ENDED;
        return RESIL__LINK_ENDED;
    }
    if (is_completed) {
        resil__refuse (EPROTO, "link %llu was said to be completed, but not all is confirmed here",
                       (unsigned long long) self->link);
        return break_off (self);
    }
    self->state = RESIL__RECEIVER_ABORTED;
    resil__refuse (ECONNABORTED, "the sender of link %llu sends no more",
                   (unsigned long long) self->link);
    return RESIL__LINK_BROKEN;
}

static resil__link_outcome_t fence (resil__link_receiver_t *self, const resil__link_frame_t *frame)
{
    (void) frame;
    self->state = RESIL__RECEIVER_FENCED;
    self->owes = 0;
    return RESIL__LINK_FENCED;
}

/*  ---- The owner ------------------------------------------------------------------------------------- */

void resil__link_receiver_init (resil__link_receiver_t *self, uint64_t link, uint64_t incarnation,
                                resil__link_landing_t *landings, size_t window_batches,
                                size_t window_bytes, const resil__link_times_t *times)
{
    assert (link && incarnation && landings && window_batches && window_bytes);
    memset (self, 0, sizeof *self);
    memset (landings, 0, window_batches * sizeof *landings);
    self->times = *times;
    self->landings = landings;
    self->window_batches = window_batches;
    self->window_bytes = window_bytes;
    self->link = link;
    self->incarnation = incarnation;
    self->next = 1;
    self->owes = A_WHO;
}

static bool is_live (const resil__link_receiver_t *self)
{
    return self->state == RESIL__RECEIVER_CALLING || self->state == RESIL__RECEIVER_OPEN;
}

int resil__link_receiver_restart (resil__link_receiver_t *self, uint64_t incarnation)
{
    if (incarnation <= self->incarnation)
        return resil__refuse (
            EINVAL, "incarnation %llu of a receiver cannot follow incarnation %llu",
            (unsigned long long) incarnation, (unsigned long long) self->incarnation);
    self->incarnation = incarnation;
    if (is_live (self)) {
        forget (self);
        self->state = RESIL__RECEIVER_CALLING;
        self->owes = A_WHO;
    }
    return 0;
}

void resil__link_receiver_abort (resil__link_receiver_t *self)
{
    if (!is_live (self))
        return;
    self->state = RESIL__RECEIVER_ABORTED;
    self->owes = self->sender ? A_BYE : 0;
}

resil__link_outcome_t resil__link_receiver_take (resil__link_receiver_t *self, int64_t now_ms,
                                                 const resil__link_frame_t *frame,
                                                 resil__link_delivery_t *delivery)
{
    meaning_t meaning = meaning_of (self, frame);
    if (meaning < USURPED)
        self->heard_at_ms = now_ms;
    resil__link_outcome_t outcome = cells[self->state][meaning](self, frame);
    if (outcome == RESIL__LINK_DELIVERED)
        *delivery = (resil__link_delivery_t){self->incarnation, self->session, frame->sequence,
                                             frame->type == RESIL__LINK_EOS};
    return outcome;
}

/*  All that is done without a gap is confirmed. */
static void advance (resil__link_receiver_t *self)
{
    for (uint64_t sequence = self->acked + 1; sequence < self->next; sequence++) {
        resil__link_landing_t *landing = landing_of (self, sequence);
        if (!landing->is_done)
            return;
        self->acked = sequence;
        self->acked_position = landing->end;
        *landing = (resil__link_landing_t){0, 0};
        self->owes |= AN_ACK;
    }
}

bool resil__link_receiver_done (resil__link_receiver_t *self,
                                const resil__link_delivery_t *delivery)
{
    if (self->state != RESIL__RECEIVER_OPEN || delivery->incarnation != self->incarnation ||
        delivery->session != self->session || delivery->sequence <= self->acked ||
        delivery->sequence >= self->next)
        return false;
    landing_of (self, delivery->sequence)->is_done = 1;
    advance (self);
    if (self->end && self->acked == self->end) {
        self->state = RESIL__RECEIVER_ENDING;
        self->owes = AN_ACK;
    }
    return true;
}

static int64_t earlier (int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t later (int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/*  What it has to say next, and when. */
static int64_t due (const resil__link_receiver_t *self, uint8_t *what)
{
    int64_t again = self->said_at_ms + self->times.repeat_ms;
    *what = self->owes & (uint8_t) -self->owes;
    if (*what)
        return RESIL__LINK_NOW;
    switch (self->state) {
    case RESIL__RECEIVER_CALLING:
        *what = A_WHO;
        return again;
    case RESIL__RECEIVER_ENDING:
        *what = AN_ACK;
        return again;
    case RESIL__RECEIVER_OPEN: {
        int64_t silent = later (again, self->heard_at_ms + self->times.silence_ms);
        *what = self->is_short && again < silent ? A_RESEND : A_WHO;
        return self->is_short ? earlier (again, silent) : silent;
    }
    default:
        return RESIL__LINK_NEVER;
    }
}

int64_t resil__link_receiver_due_at (const resil__link_receiver_t *self)
{
    uint8_t what;
    return due (self, &what);
}

static void fill_in (const resil__link_receiver_t *self, uint8_t what, resil__link_frame_t *frame)
{
    switch (what) {
    case A_BYE:
        frame->type = RESIL__LINK_BYE;
        frame->reason =
            self->state == RESIL__RECEIVER_ABORTED ? RESIL__LINK_ABORTED : RESIL__LINK_COMPLETED;
        return;
    case A_WHO:
        frame->type = RESIL__LINK_NACK;
        frame->reason = RESIL__LINK_WHO;
        return;
    case A_RESEND:
        frame->type = RESIL__LINK_NACK;
        frame->reason = RESIL__LINK_RESEND;
        frame->sequence = self->next;
        return;
    case A_WELCOME:
        frame->type = RESIL__LINK_WELCOME;
        frame->sequence = self->next;
        break;
    default:
        frame->type = RESIL__LINK_ACK;
        frame->sequence = self->acked;
        break;
    }
    frame->limit_batches = limit_batches (self);
    frame->limit_bytes = limit_bytes (self);
}

bool resil__link_receiver_next (resil__link_receiver_t *self, int64_t now_ms,
                                resil__link_frame_t *frame)
{
    uint8_t what;
    if (due (self, &what) > now_ms)
        return false;
    *frame = (resil__link_frame_t){.link = self->link,
                                   .session = self->session,
                                   .sender = self->sender,
                                   .receiver = self->incarnation};
    fill_in (self, what, frame);
    self->owes &= (uint8_t) ~what;
    self->said_at_ms = now_ms;
    return true;
}

const char *resil__receiver_state_name (unsigned state)
{
    static const char *const names[RESIL__RECEIVER_STATES] = {"calling", "open",    "ending",
                                                              "ended",   "aborted", "fenced"};
    return names[state];
}
