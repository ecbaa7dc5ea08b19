/*  The life of one child, as a table: no socket, no clock, no thread.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_SUPERVISOR_LIFECYCLE_H
#define RESIL_SUPERVISOR_LIFECYCLE_H

typedef enum {
    RESIL__DOWN,     /*  no runner; not started yet, or its supervision has ended       */
    RESIL__STARTING, /*  told to start, not up yet                      due: start      */
    RESIL__UP,       /*  it runs                                                        */
    RESIL__ENDING,   /*  its report is accepted; it is to return        due: shutdown   */
    RESIL__LEAVING,  /*  told to return                                 due: shutdown   */
    RESIL__HANDLING, /*  handle_irrecoverable runs                      due: handler    */
    RESIL__WAITING,  /*  a restart is pending, or its group's           due: the delay  */
    RESIL__RETIRING, /*  its runner has been told to end                due: handler    */
    RESIL__PHASES
} resil__phase_t;

typedef enum {
    RESIL__GO,       /*  start it                                                       */
    RESIL__CANNOT,   /*  no runner could be had for it                                  */
    RESIL__IS_UP,    /*  it started, and said ready if it has to                        */
    RESIL__REPORTED, /*  a report, the first of the incarnation                         */
    RESIL__RETURNED, /*  start returned, completed or cancelled                         */
    RESIL__FELL,     /*  start returned, failed; the runner calls the handler. Of a
                          subtree: it gave up                                          */
    RESIL__AGREED,   /*  the handler is done, and the runner waits                      */
    RESIL__WENT_ON,  /*  the handler is done, and the next incarnation has begun        */
    RESIL__DECLINED, /*  the handler said no                                            */
    RESIL__HUNG,     /*  no progress within the hang deadline                           */
    RESIL__DUE,      /*  the phase's deadline has passed                                */
    RESIL__STOP,     /*  stop it                                                        */
    RESIL__GONE,     /*  the runner's thread has ended                                  */
    RESIL__EVENTS
} resil__event_t;

typedef enum {
    RESIL__NOTHING,        /*  in order, nothing to do                                        */
    RESIL__IGNORE,         /*  comes late or twice; told in the debug log                     */
    RESIL__BEGIN,          /*  make a runner if there is none; tell it to start               */
    RESIL__JUDGE_START,    /*  judge a failure of the start itself                            */
    RESIL__NOTE_UP,        /*  the start deadline is met; hang detection begins               */
    RESIL__ACCEPT,         /*  judge the reported failure, acknowledge                        */
    RESIL__JUDGE_END,      /*  completed: judge whether to start again                        */
    RESIL__JUDGE_FAILURE,  /*  a failure nobody reported: judge it                            */
    RESIL__AWAIT_HANDLER,  /*  the failure has been judged: now the handler's deadline        */
    RESIL__CANCEL_IT,      /*  cancel, and remember for what                                  */
    RESIL__AFTER_CANCEL,   /*  it returned after a cancel: stopped, or failed of what it was
                                cancelled for; or after a report that only we know of          */
    RESIL__REPLACE,        /*  it did not return: quarantine, then as after a cancel          */
    RESIL__CARRY_OUT,      /*  do as was judged                                               */
    RESIL__FOLLOW,         /*  the runner began the next incarnation by its leave             */
    RESIL__GIVE_UP,        /*  the failure goes up                                            */
    RESIL__GIVE_UP_RUNNER, /*  the handler hangs: quarantine, and the failure goes up         */
    RESIL__RETIRE,         /*  end the runner                                                 */
    RESIL__ABANDON,        /*  the runner does not end: quarantine                            */
    RESIL__SETTLE,         /*  the runner is gone: free it                                    */
    RESIL__ACTIONS
} resil__action_t;

/*  The phase after the event, before the action: the action may move it on. */
typedef struct {
    resil__phase_t next;
    resil__action_t action;
} resil__step_t;

resil__step_t resil__lifecycle_step (resil__phase_t phase, resil__event_t event);

const char *resil__phase_name (resil__phase_t phase);
const char *resil__event_name (resil__event_t event);

#endif
