/*  What a component in a process of its own asks of its parent, and what it has to do with its mailbox there: it is what
    stands behind resil__afar.

    One message at a time: the next is asked for when the component looks for one and finds none. So what it has been
    given and not handled is what it has in hand.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_HOSTED_REQUESTS_H
#define RESIL_HOSTED_REQUESTS_H

#include "hosted/link.h"
#include "mailbox/mailbox.h"

/*  From now on; `mailbox` is what the component reads here, `address` is its own there. */
void resil__requests_begin (resil__link_t *link, resil__mailbox_t *mailbox, uint64_t address);

/*  The main thread's: what the parent has said. True if the frame was for here: MAIL, ANSWER, RESULT, SAVED. */
bool resil__requests_hear (const resil__frame_t *frame);

/*  Wait until all that has been said before has come to the parent, at most so long: it is asked for the component of that
    name. Any thread but main's. */
void resil__requests_settle (const char *name, int64_t timeout_ms);

/*  The component has ended: nobody waits for anything any more. */
void resil__requests_end (void);

#endif
