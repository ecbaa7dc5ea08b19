/*  Supervise an existing zactor function as it is.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_ZACTOR_H
#define RESIL_ZACTOR_H

#include <resil/type.h>

/*  The arguments of a component of type "zactor": what zactor_new would be given. The
    function runs in the component's thread with its control socket as `pipe`: it
    signals there when it is set up (that is its resil_ready) and gets "$TERM" there. A
    non-zero signal, or a return without "$TERM", is a failure, the latter unless may_end is set. */
typedef struct {
    zactor_fn *actor; /*  the function                                             */
    void *args;       /*  its arguments                                            */
    bool may_end;     /*  it may return by itself: completed                       */
} resil_zactor_t;

/*  The registered type that runs it: name it in a spec, with a resil_zactor_t as args
    (kept by the program while the supervisor lives). */
#define RESIL_ZACTOR "zactor"

#endif
