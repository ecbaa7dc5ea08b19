/*  A component type: code under a name.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_TYPE_H
#define RESIL_TYPE_H

#include <resil/error.h>
#include <resil/message.h>
#include <resil/self.h>

/*  The component's work, in a thread of its own. It returns when its work is done (0),
    when resil_cancelled says so, or when it has failed: non-zero, best with a report
    before (resil_fail). */
typedef int (resil_start_fn) (resil_self_t *self, void *args);

/*  Called after each failed incarnation and before the next start, in the same thread, at most
    once for an incarnation and never beside start: put right what can be put right
    in `args`. 0 lets the component start again; non-zero declines, and the failure
    goes up: the supervisor stops and says why. */
typedef int (resil_handle_irrecoverable_fn) (void *args, const resil_error_t *error);

/*  What a component's handler returns when its work is done: the component completes. */
#define RESIL_DONE 1

/*  A component may be written as handlers in place of a start: each is called for one thing that
    has happened, one at a time, and returns soon. 0: go on; RESIL_DONE: its work is done; else it
    has failed, best with a report before (`return resil_fail (...)`). */
typedef int (resil_handler_fn) (resil_self_t *self, void *args);

/*  The same with what has come. The message is in hand during the call, and resil's unless
    resil_keep takes it. */
typedef int (resil_message_fn) (resil_self_t *self, void *args, resil_message_t *message);

/*  A type says how its components work and where their arguments come from. The first of
    these that it has:
    args_new           each runner gets args_new (spec.args), its own, given back to
                       args_free in the runner's thread;
    args_encode,       each runner gets a copy: spec.args encoded and decoded again,
    args_decode        given back to args_free;
    neither            spec.args itself is what start gets: yours, shared by all
                       incarnations, never copied or freed.
    They run in the component's thread, where they may block within the start
    deadline. A thread that hangs keeps its arguments; only a type with fresh ones
    (or a spec that says args_shared) can be given a new runner then.
    Begin with RESIL_TYPE; `size` lets later versions add fields. */
typedef struct {
    size_t size;           /*  of this struct; set by RESIL_TYPE         */
    const char *name;      /*  what specs call it; as a component's name */
    resil_start_fn *start; /*  required, or on_message; of a command (resil_process_t) there may be
                               handle_irrecoverable alone                */
    /*  NULL: always start again. */
    resil_handle_irrecoverable_fn *handle_irrecoverable;
    /*  NULL and errno when it cannot. */
    void *(*args_new) (const void *recipe);
    /*  Required with args_new and with args_decode. */
    void (*args_free) (void *args);
    /*  To malloc'd bytes, which the caller frees; 0, or -1 with errno. */
    int (*args_encode) (const void *args, void **bytes_p, size_t *size_p);
    /*  NULL and errno when it cannot. */
    void *(*args_decode) (const void *bytes, size_t size);

    /*  In place of start. Each but on_message may be NULL: what comes for it is passed over then,
        with a warning in the log where it was asked for. */
    resil_handler_fn *on_start;   /*  first of all; when it has returned the component is up   */
    resil_message_fn *on_message; /*  a cast, or a call: resil_reply answers it                */
    resil_message_fn *on_reply;   /*  to a call of its own, by resil_call_async                */
    resil_message_fn *on_timer;   /*  resil_timer_set                                          */
    resil_message_fn *on_down;    /*  somebody whom it watches is down                         */
    resil_handler_fn *on_stop;    /*  last of all, unless it has failed; 0 or RESIL_DONE: that has
                                      succeeded                                                */
} resil_type_t;

/*  Begins a resil_type_t:
    `resil_type_t type = {RESIL_TYPE, .name = "reader", .start = read_it};`. */
#define RESIL_TYPE .size = sizeof (resil_type_t)

/*  Register a type for the life of the program; `type` and its name are copied. The
    same type again, equal in every field, is no error. Returns 0, or -1 with errno:
    EINVAL (resil_errmsg names the field), EEXIST (another type has that name), ENOMEM.
    Any thread. */
RESIL_EXPORT int resil_type_register (const resil_type_t *type);

#endif
