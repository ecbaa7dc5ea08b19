/*  A child begins: it is given a runner and an incarnation, and has a deadline until it is up.

    SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/child.h"

#include <errno.h>
#include <string.h>

#include "component/program.h"
#include "foundation/clock.h"
#include "supervisor/narrate.h"

bool resil__child_is_process (const resil__child_t *child)
{
    return child->spec->is->placement == RESIL_PROCESS;
}

/*  A command that does not speak receives nothing. */
static bool receives (const resil__child_t *child)
{
    return child->mailbox && (!resil__child_is_process (child) ||
                              resil__program_of (child->spec->is->process)->speaks);
}

static int find_for_process (const void *owner, const char *path, resil_address_t *address)
{
    const resil__tree_t *tree = owner;
    return resil_supervisor_find (tree->root, path, address);
}

static int get_runner (resil__child_t *child)
{
    resil_supervisor_t *self = child->supervisor;
    resil__tree_t *tree = self->tree;
    if (child->runner || child->subtree)
        return 0;
    /*  Each thread may come to hang, and a group or a subtree may be stopped and started again
        without end: there is room for every one that is made. */
    if (resil__family_reserve (self))
        return -1;
    resil__runner_options_t options = {.spec = child->spec,
                                       .mailbox = child->mailbox,
                                       .tokens = self->limit.tokens,
                                       .owner = tree,
                                       .supervisor = self->path + 1,
                                       .signals = &tree->signals,
                                       .find = find_for_process,
                                       .maker = tree->maker};
    if (child->spec->is->placement != RESIL_OWN_THREAD) {
        options.host =
            resil__pool_host (tree, resil__child_is_process (child) ? resil__pool_of_processes
                                                                    : child->spec->is->pool);
        if (!options.host)
            return -1;
    }
    child->runner = resil__runner_new (&options);
    if (!child->runner)
        return -1;
    child->owes_sync = false;
    resil__runner_set_child (child->runner, child);
    if (resil__loop_watch (tree, child->runner) == 0)
        return 0;
    int error = errno;
    resil__runner_end (child->runner);
    resil__runner_destroy (&child->runner);
    errno = error;
    return -1;
}

int resil__child_prepare (resil__child_t *child)
{
    return get_runner (child);
}

void resil__child_unprepare (resil__child_t *child)
{
    resil__mailbox_set_reader (child->mailbox, NULL, NULL);
    resil__runner_destroy (&child->runner);
}

static void enter_incarnation (resil__child_t *child, int64_t at_us)
{
    child->incarnation++;
    child->judged = false;
    child->must_ask = false;
    child->ignored = false;
    child->hogs = child->killed = false;
    child->start_errno = 0;
    child->is_untold = true;
    resil__hang_renew (child);
    child->cause = RESIL__NOT_CANCELLED;
    if (child->dossier)
        child->dossier->failures.is_open = false;
    child->up_at_us = 0;
    resil__child_set_deadline (child, at_us, child->spec->is->start_ms);
    resil__event_tell (child, at_us);
}

/*  It waits for its group, with its runner. */
void resil__child_rest (resil__child_t *child)
{
    child->phase = RESIL__WAITING;
    child->held = true;
    resil__child_no_deadline (child);
    resil__event_tell (child, child->supervisor->tree->now_us);
}

/*  A new runner makes its arguments before it calls the handler. */
static int64_t first_handler_ms (const resil__child_t *child)
{
    const resil_spec_t *spec = child->spec->is;
    if (!resil__spec_makes_args (child->spec))
        return spec->handler_ms;
    return spec->start_ms < 0 || spec->handler_ms < 0 ? RESIL_FOREVER
                                                      : spec->start_ms + spec->handler_ms;
}

/*  It has no thread, as errno and the sentence say; so that incarnation does not begin. */
void resil__child_cannot_begin (resil__child_t *child, uint64_t incarnation, int64_t at_us)
{
    int error = errno;
    resil__fault_t owed = resil__dossier_take_fault (child);
    resil_error_t failure;
    resil__error_set (&failure, RESIL_ERROR_START_FAILED, child->spec->name, incarnation, error,
                      "%s", resil_errmsg ());
    resil__dossier_set_error (child, &failure);
    child->start_errno = resil__family_errno (&failure);
    child->phase = RESIL__STARTING;
    resil__event_tell (child, at_us);
    resil__child_event (child, RESIL__CANNOT, at_us);
    if (child->owes_handler && child->phase == RESIL__WAITING)
        resil__dossier_put_fault (child, owed);
    else
        resil__fault_release (&owed);
}

/*  Its thread runs another type, or has other arguments, than its spec says now. */
bool resil__child_is_outdated (const resil__child_t *child)
{
    if (!child->runner)
        return false;
    const resil__spec_t *old = resil__runner_spec (child->runner);
    return old != child->spec &&
           (old->args != child->spec->args || old->is->placement != child->spec->is->placement ||
            old->is->pool != child->spec->is->pool ||
            old->is->process != child->spec->is->process ||
            memcmp (resil__spec_type (old), resil__spec_type (child->spec),
                    sizeof (resil_type_t)) != 0);
}

void resil__child_begin (resil__child_t *child, int64_t at_us)
{
    child->held = false; /*  its turn has come; whatever follows is its own               */
    if (resil__child_is_outdated (child)) {
        child->renews = true;
        resil__child_retire (child, at_us);
        return;
    }
    if (get_runner (child)) {
        resil__child_cannot_begin (child, child->incarnation + 1, at_us);
        return;
    }
    child->look_us = 0;
    child->is_spending = false; /*  it has asked                                         */
    if (receives (child))
        resil__mailbox_open (child->mailbox);
    if (child->owes_handler) {
        child->owes_handler = false;
        child->phase = RESIL__HANDLING;
        resil__child_set_deadline (child, at_us, first_handler_ms (child));
        resil__runner_handle (child->runner, resil__child_error (child));
        return;
    }
    child->phase = RESIL__STARTING;
    enter_incarnation (child, at_us);
    if (child->subtree)
        resil__family_boot (child->subtree);
    else if (child->in_row)
        child->in_row = false; /*  it has been told, or will be                            */
    else
        resil__runner_start (child->runner, child->incarnation);
}

void resil__child_set_spec (resil__child_t *child, resil__spec_t *spec)
{
    child->must_ask = true;
    resil__spec_t *old = child->spec;
    child->spec = spec;
    resil__family_count_threads (child, old);
    resil__mailbox_set_rules (child->mailbox, resil__spec_mail (spec), spec->name);
    resil__family_exchange_static (child);
    resil__spec_release (&old);
    resil__hang_spec_changed (child);
}

/*  As a rule nobody has set one since, when many start one after the other: to clear it costs
    nothing then, and saves to move it when they stop. */
static void clear_last_timer (resil__child_t *child)
{
    resil__heap_t *heap = &child->supervisor->tree->heap;
    if (child->timer.place == heap->count)
        resil__heap_set (heap, &child->timer, RESIL__NEVER);
}

void resil__child_note_up (resil__child_t *child, int64_t at_us)
{
    child->up_at_us = at_us;
    if (child->first_start)
        clear_last_timer (child);
    child->first_start = child->failed = false;
    child->deadline_us = RESIL__NEVER;
    child->look_us = 0;
    resil__hang_watch (child, at_us);
    resil__child_grant (child);
    resil__narrate_up (child);
    resil__event_tell (child, at_us);
    resil__family_up (child);
}

void resil__child_follow (resil__child_t *child, int64_t at_us)
{
    resil__cause_t cause = child->cause;
    child->is_granted =
        child->is_granted && child->grant_stands && !child->spec->is->ready_required;
    enter_incarnation (child, at_us);
    if (cause != RESIL__TO_STOP && cause != RESIL__FOR_GROUP)
        return;
    /*  The stop came when this incarnation had begun. Of one for good it knows. */
    child->cause = cause;
    child->phase = RESIL__LEAVING;
    resil__child_set_deadline (child, at_us, child->spec->is->shutdown_ms);
    if (cause == RESIL__FOR_GROUP)
        resil__runner_cancel (child->runner, child->incarnation);
}
