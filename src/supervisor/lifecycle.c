/*  Each cell says what an event means in a phase. What has no cell is ignored in that
    phase: the runner and the supervisor are two threads, so an event may meet a phase
    that has just ended.

    SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/lifecycle.h"

/*  RESIL__NOTHING is 0, and a cell left out is all zero: so cells that are there hold a
    flag of their own. */
typedef struct {
    unsigned char is_there;
    unsigned char next;
    unsigned char action;
} cell_t;

#define CELL(next, action)                                                                         \
    {                                                                                              \
        1, (next), (action)                                                                        \
    }

static const cell_t cells[RESIL__PHASES][RESIL__EVENTS] = {
    [RESIL__DOWN] =
        {
            [RESIL__GO] = CELL (RESIL__STARTING, RESIL__BEGIN),
            [RESIL__STOP] = CELL (RESIL__DOWN, RESIL__NOTHING),
        },
    [RESIL__STARTING] =
        {
            [RESIL__CANNOT] = CELL (RESIL__STARTING, RESIL__JUDGE_START),
            [RESIL__IS_UP] = CELL (RESIL__UP, RESIL__NOTE_UP),
            [RESIL__REPORTED] = CELL (RESIL__ENDING, RESIL__ACCEPT),
            [RESIL__RETURNED] = CELL (RESIL__STARTING, RESIL__JUDGE_END),
            [RESIL__FELL] = CELL (RESIL__HANDLING, RESIL__JUDGE_FAILURE),
            [RESIL__DUE] = CELL (RESIL__LEAVING, RESIL__CANCEL_IT),
            [RESIL__STOP] = CELL (RESIL__LEAVING, RESIL__CANCEL_IT),
        },
    [RESIL__UP] =
        {
            [RESIL__IS_UP] = CELL (RESIL__UP, RESIL__NOTHING),
            [RESIL__REPORTED] = CELL (RESIL__ENDING, RESIL__ACCEPT),
            [RESIL__RETURNED] = CELL (RESIL__UP, RESIL__JUDGE_END),
            [RESIL__FELL] = CELL (RESIL__HANDLING, RESIL__JUDGE_FAILURE),
            [RESIL__HUNG] = CELL (RESIL__LEAVING, RESIL__CANCEL_IT),
            [RESIL__STOP] = CELL (RESIL__LEAVING, RESIL__CANCEL_IT),
        },
    [RESIL__ENDING] =
        {
            [RESIL__RETURNED] = CELL (RESIL__ENDING, RESIL__AFTER_CANCEL),
            [RESIL__FELL] = CELL (RESIL__HANDLING, RESIL__AWAIT_HANDLER),
            [RESIL__DUE] = CELL (RESIL__LEAVING, RESIL__CANCEL_IT),
            [RESIL__STOP] = CELL (RESIL__LEAVING, RESIL__CANCEL_IT),
        },
    [RESIL__LEAVING] =
        {
            [RESIL__IS_UP] = CELL (RESIL__LEAVING, RESIL__NOTHING),
            [RESIL__REPORTED] = CELL (RESIL__LEAVING, RESIL__ACCEPT),
            [RESIL__RETURNED] = CELL (RESIL__LEAVING, RESIL__AFTER_CANCEL),
            [RESIL__FELL] = CELL (RESIL__HANDLING, RESIL__JUDGE_FAILURE),
            [RESIL__DUE] = CELL (RESIL__LEAVING, RESIL__REPLACE),
            [RESIL__STOP] = CELL (RESIL__LEAVING, RESIL__NOTHING),
        },
    [RESIL__HANDLING] =
        {
            [RESIL__AGREED] = CELL (RESIL__HANDLING, RESIL__CARRY_OUT),
            [RESIL__WENT_ON] = CELL (RESIL__STARTING, RESIL__FOLLOW),
            [RESIL__DECLINED] = CELL (RESIL__HANDLING, RESIL__GIVE_UP),
            [RESIL__DUE] = CELL (RESIL__DOWN, RESIL__GIVE_UP_RUNNER),
            /*  The handler keeps its deadline; but the next incarnation may have begun already. */
            [RESIL__STOP] = CELL (RESIL__HANDLING, RESIL__CANCEL_IT),
        },
    [RESIL__WAITING] =
        {
            [RESIL__GO] = CELL (RESIL__STARTING, RESIL__BEGIN),
            [RESIL__DUE] = CELL (RESIL__STARTING, RESIL__BEGIN),
            [RESIL__STOP] = CELL (RESIL__RETIRING, RESIL__RETIRE),
        },
    [RESIL__RETIRING] =
        {
            [RESIL__STOP] = CELL (RESIL__RETIRING, RESIL__NOTHING),
            [RESIL__DUE] = CELL (RESIL__DOWN, RESIL__ABANDON),
            [RESIL__GONE] = CELL (RESIL__DOWN, RESIL__SETTLE),
        },
};

resil__step_t resil__lifecycle_step (resil__phase_t phase, resil__event_t event)
{
    const cell_t *cell = &cells[phase][event];
    if (!cell->is_there)
        return (resil__step_t){phase, RESIL__IGNORE};
    return (resil__step_t){(resil__phase_t) cell->next, (resil__action_t) cell->action};
}

const char *resil__phase_name (resil__phase_t phase)
{
    static const char *const names[RESIL__PHASES] = {
        "down", "starting", "up", "ending", "leaving", "handling", "waiting", "retiring",
    };
    return names[phase];
}

const char *resil__event_name (resil__event_t event)
{
    static const char *const names[RESIL__EVENTS] = {
        "go",      "cannot",   "is up", "reported", "returned", "fell", "agreed",
        "went on", "declined", "hung",  "due",      "stop",     "gone",
    };
    return names[event];
}
