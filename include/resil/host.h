/*  Components in processes of their own: the program's side of it, and what outlives a process.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_HOST_H
#define RESIL_HOST_H

#include <resil/self.h>

/*  The one line at the top of main that lets this program run its own components in processes of
    their own (RESIL_PROCESS). Such a process is this program, executed anew: there the call runs
    the one component that the process is for, and never returns: the process exits when the
    component has ended. Everywhere else it only notes that it was called, and returns at once.

    Call it after the types have been registered (resil_type_register), as a type that is not there
    cannot be run, and before all else, as all that stands before it happens in each of these
    processes too. Without it a component with RESIL_PROCESS does not start: resil_errmsg and the
    error say what is missing.

    In such a process the contract is the same as in a thread, with these differences. `args` is
    what args_decode makes of the bytes of args_encode, anew for each incarnation; of a type without
    these, what its args_new makes of NULL, else NULL. handle_irrecoverable is not called there, but
    in the parent, with the parent's arguments. exit ends the process at once, which is a failure
    with status 0 too: what was registered with atexit before resil_host is not called then. When
    the parent is gone, the process ends. A signal that kills (SIGSEGV, SIGBUS, SIGFPE, SIGILL,
    SIGABRT) has its stack trace written for the parent first; in threads that the component makes
    itself, the overflow of a stack has none.

    Messages go to and from it as elsewhere, over the parent. A resil_receive that does not wait
    finds a message only when one has been asked for before; the errors of a call that the parent
    refuses come as those of its reply; resil_reply does not tell whether somebody still waited; and
    sends from there have 10 s, then they are ETIMEDOUT.

    It has room for 4,096 ZeroMQ sockets, where the program has opened none before this call.

    The exit status is 0 where the component has completed, was cancelled or ignores, 1 where it has
    failed. The environment keeps RESIL_PATH and RESIL_INCARNATION; the rest of the protocol's is
    removed. */
RESIL_EXPORT void resil_host (void);

/*  The most bytes that can be saved: 64 MiB. */
#define RESIL_SAVED_MAX ((size_t) 64 << 20)

/*  Keep a copy of `size` bytes for the next incarnation, in place of what was kept before; with 0,
    keep nothing. They outlive a crash, a hang and a restart by command, and are gone when the
    component is deleted, or the program ends. In every placement. Returns 0: from then on they are
    safe; or -1 with errno: EINVAL, EMSGSIZE (more than RESIL_SAVED_MAX), ENOMEM, EPERM, ESTALE,
    ETIMEDOUT (the parent does not answer). */
RESIL_EXPORT int resil_save (resil_self_t *self, const void *bytes, size_t size);

/*  What has been saved last, by this incarnation or a former one, and how many bytes in *size.
    Valid until the next resil_save or resil_saved of this incarnation, or its end. NULL and 0:
    nothing; then errno is ENOENT; or EINVAL, ENOMEM, EPERM, ESTALE. */
RESIL_EXPORT const void *resil_saved (resil_self_t *self, size_t *size);

#endif
