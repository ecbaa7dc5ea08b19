/*  The functions of a component in processes, called in a thread for that: its arguments are made,
    encoded and freed, and its handler is called.

    SPDX-License-Identifier: Apache-2.0 */
#include "runner/process.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "component/type.h"
#include "foundation/errmsg.h"
#include "foundation/log.h"
#include "runner/incarnation.h"

/*  0, or an errno, with the sentence kept. */
static int make_args (resil__process_t *self)
{
    resil_self_t *inside = resil__process_self (self);
    if (inside->has_args)
        return 0;
    if (resil__spec_make_args (inside->spec, &inside->args)) {
        int error = errno;
        snprintf (self->chore_why, sizeof self->chore_why, "%s: %s", resil_errmsg (),
                  strerror (error));
        return error;
    }
    inside->has_args = true;
    return 0;
}

/*  0, or an errno, with the sentence kept. */
static int encode_args (resil__process_t *self)
{
    const resil_self_t *inside = resil__process_self (self);
    free (self->args);
    self->args = NULL;
    self->args_size = 0;
    errno = 0;
    if (!resil__process_encodes_args (self) ||
        resil__spec_type (inside->spec)
                ->args_encode (inside->args, &self->args, &self->args_size) == 0)
        return 0;
    int error = errno ? errno : EINVAL;
    self->args = NULL;
    snprintf (self->chore_why, sizeof self->chore_why,
              "its arguments could not be encoded for its process: %s", strerror (error));
    return error;
}

/*  Without arguments there is nothing to handle with; the start that follows fails of the same, and
    is told. */
static int handle (resil__process_t *self)
{
    resil_self_t *inside = resil__process_self (self);
    if (make_args (self) || resil__self_is_quarantined (inside))
        return 0;
    return resil__spec_type (inside->spec)->handle_irrecoverable (inside->args, &self->error);
}

static int prepare (resil__process_t *self)
{
    int error = make_args (self);
    return error ? error : encode_args (self);
}

void resil__process_do_chore (resil__chore_t *chore)
{
    resil__process_t *self =
        (resil__process_t *) ((char *) chore - offsetof (resil__process_t, chore));
    resil__self_set_current (resil__process_self (self));
    self->chore_rc = 0;
    if (self->phase == RESIL__PROCESS_PREPARES)
        self->chore_rc = prepare (self);
    else if (self->phase == RESIL__PROCESS_HANDLES)
        self->chore_rc = handle (self);
    else
        resil__incarnation_free_args (resil__process_self (self));
    resil__self_set_current (NULL);
}

static void is_handled (resil__process_t *self, int answer)
{
    self->phase = RESIL__PROCESS_RESTS;
    atomic_store (&self->base.thread_id, 0); /*  its id was told with its failure until now    */
    if (!resil__self_is_quarantined (resil__process_self (self)))
        resil__process_tell (
            self, (resil__record_t){.kind = RESIL__RECORD_HANDLED, .value = answer, .asks = true},
            NULL);
}

void resil__process_call_handler (resil__process_t *self)
{
    const resil_self_t *inside = resil__process_self (self);
    bool has_args = inside->has_args || resil__spec_makes_args (inside->spec);
    if (!resil__spec_type (inside->spec)->handle_irrecoverable || !has_args) {
        is_handled (self, 0);
        return;
    }
    self->phase = RESIL__PROCESS_HANDLES;
    if (resil__process_post (self)) {
        resil__about_t whom = resil__process_about (self);
        resil__log (RESIL_LOG_ERROR, &whom, 0, "its handler is not called: %s", resil_errmsg ());
        is_handled (self, 0);
    }
}

void resil__process_handle_former (resil__process_t *self)
{
    resil_self_t *inside = resil__process_self (self);
    if (self->to_handle) {
        resil__self_renew (inside, self->to_handle->incarnation);
        resil__error_copy (&self->error, self->to_handle);
        self->error.component = inside->spec->name;
    }
    else
        resil__error_set (&self->error, RESIL_ERROR_HUNG, inside->spec->name, inside->incarnation,
                          ENOMEM, "there is no memory to tell of what");
    if (!resil__spec_makes_args (inside->spec) && !inside->has_args) {
        inside->args = inside->spec->args;
        inside->has_args = true;
    }
    resil__process_call_handler (self);
}

void resil__process_chore_done (resil__chore_t *chore)
{
    resil__process_t *self =
        (resil__process_t *) ((char *) chore - offsetof (resil__process_t, chore));
    resil__process_phase_t phase = self->phase;
    self->phase = RESIL__PROCESS_RESTS;
    if (phase == RESIL__PROCESS_HANDLES)
        is_handled (self, self->chore_rc);
    else if (phase == RESIL__PROCESS_PREPARES && self->chore_rc) {
        resil__process_fail (self, RESIL_ERROR_START_FAILED, self->chore_rc, self->chore_why);
        resil__process_conclude (self);
        return;
    }
    else if (phase == RESIL__PROCESS_PREPARES) {
        resil__process_launch (self);
        return;
    }
    resil__process_go_on (self);
}
