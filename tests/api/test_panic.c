/*  A panic where there is nowhere to land ends the program, with a sentence.

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"
#include "child.h"

#include <pthread.h>

#include <resil.h>

typedef enum { WITHOUT_SELF, IN_ANOTHER_THREAD, IN_THE_HANDLER, PLACES } place_t;

static resil_self_t *kept;

static void *panics (void *arg)
{
    resil_panic ((resil_self_t *) arg, 0, "the %s", "text");
    return NULL;
}

static int starts (resil_self_t *self, void *args)
{
    kept = self;
    if (*(place_t *) args == WITHOUT_SELF)
        panics (NULL);
    if (*(place_t *) args == IN_ANOTHER_THREAD) {
        pthread_t thread;
        pthread_create (&thread, NULL, panics, self);
        pthread_join (thread, NULL);
    }
    return 1;
}

static int handles (void *args, const resil_error_t *error)
{
    (void) args;
    (void) error;
    panics (kept);
    return 0;
}

static int supervises (void *arg)
{
    const struct rlimit no_core = {0, 0};
    setrlimit (RLIMIT_CORE, &no_core);
    signal (SIGABRT, SIG_DFL);
    resil_supervisor_t *supervisor = resil_supervisor_new (NULL);
    resil_supervisor_add_simple (supervisor, "it", starts, handles, arg);
    resil_supervisor_spawn (supervisor);
    resil_supervisor_wait (supervisor, RESIL_FOREVER);
    resil_supervisor_destroy (&supervisor);
    return 0;
}

static void a_panic_outside_of_start_aborts_and_says_so (void **state)
{
    (void) state;
    static const char *const sentences[] = {
        "resil: resil_panic without a self: the text",
        "resil: resil_panic in a thread that is not its component's: the text",
        "resil: resil_panic outside of start: the text"};
    for (place_t place = 0; place < PLACES; place++) {
        const child_t *child = child_run (supervises, &place, SUPPORT_PATIENCE_MS);
        assert_int_equal (child->signal, SIGABRT);
        if (!child_said (child->err, sentences[place]))
            fail_msg ("\"%s\" does not say \"%s\"", child->err, sentences[place]);
    }
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test (a_panic_outside_of_start_aborts_and_says_so),
    };
    return cmocka_run_group_tests (cases, NULL, NULL);
}
