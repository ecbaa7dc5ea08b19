/*  Events: what is told of a tree, in which order, with which cause; to a callback and to sockets.

    ctest also in processes

    SPDX-License-Identifier: Apache-2.0 */
#include <czmq.h>
#include <sys/resource.h>

#include "lever.h"

static SHARED lever_t a, b, c, d;
static resil_supervisor_t *root;

/*  ---- A listener that writes down what it is told -------------------------------------- */

/*  One word an event, those of states as "a#2:up": the path without the root's, "." for the root itself.
    Behind it "!" and the kind of the error, "@" and by whom, "?" if it was not commanded. */
typedef struct {
    pthread_mutex_t lock;
    size_t size;
    char text[256 * 1024];
    uint64_t last;        /*  sequence                                                 */
    int wrong;            /*  events that cannot be                                    */
    char last_wrong[256]; /*  the last of them                                         */
} notes_t;

static notes_t notes = {.lock = PTHREAD_MUTEX_INITIALIZER};

static const char *within (const char *path, const char *above)
{
    size_t size = strlen (above);
    return strncmp (path, above, size)    ? path
           : path[size] == '/' && path[1] ? path + size + 1
           : path[size] == 0              ? "."
                                          : path;
}

static void say_event (char *word, size_t room, const resil_event_t *event)
{
    static const char *const reasons[] = {"completed", "stopped", "escalated"};
    int size =
        snprintf (word, room, "%s#%d:%s", within (event->path, "/app"), (int) event->incarnation,
                  event->kind == RESIL_EVENT_STATE   ? resil_state_name (event->to)
                  : event->kind == RESIL_EVENT_ENDED ? reasons[event->reason]
                                                     : resil_event_kind_name (event->kind));
    if (event->is_done)
        size += snprintf (word + size, room - (size_t) size, ".done");
    if (event->error)
        size += snprintf (word + size, room - (size_t) size, "!%s",
                          resil_error_kind_name (event->error));
    if (event->commanded || *event->by)
        size += snprintf (word + size, room - (size_t) size, "@%s%s", within (event->by, "/app"),
                          event->commanded ? "" : "?");
    for (char *at = word; *at; at++)
        if (*at == ' ')
            *at = '-';
}

static bool is_sound (const notes_t *self, const resil_event_t *event)
{
    bool is_waiting = event->kind == RESIL_EVENT_STATE && event->to == RESIL_WAITING;
    return event->sequence == self->last + 1 + event->dropped && event->at_us > 0 &&
           event->wall_at_us > 1577836800000000 && (event->delay_ms >= 0) == is_waiting &&
           (event->kind == RESIL_EVENT_STATE || event->from == event->to) &&
           (!event->error || *resil_error_text (event->error));
}

static void note (const resil_event_t *event, void *arg)
{
    notes_t *self = arg;
    char word[2048];
    say_event (word, sizeof word, event);
    pthread_mutex_lock (&self->lock);
    size_t room = sizeof self->text - self->size;
    if (!is_sound (self, event)) {
        self->wrong++;
        snprintf (self->last_wrong, sizeof self->last_wrong, "%d after %d: %.200s",
                  (int) event->sequence, (int) self->last, word);
    }
    self->last = event->sequence;
    if (strlen (word) + 2 <= room)
        self->size +=
            (size_t) snprintf (self->text + self->size, room, "%s%s", self->size ? " " : "", word);
    pthread_mutex_unlock (&self->lock);
}

typedef struct {
    notes_t *notes;
    size_t size;
} so_much_t;

static bool has_so_much (void *arg)
{
    so_much_t *wanted = arg;
    pthread_mutex_lock (&wanted->notes->lock);
    bool has = wanted->notes->size >= wanted->size;
    pthread_mutex_unlock (&wanted->notes->lock);
    return has;
}

static void forget_notes (notes_t *self)
{
    pthread_mutex_lock (&self->lock);
    self->size = 0;
    self->text[0] = 0;
    pthread_mutex_unlock (&self->lock);
}

/*  What has been told since the last time is this, exactly, when it has all come. */
static void told_to (notes_t *self, const char *expected)
{
    so_much_t wanted = {self, strlen (expected)};
    if (!support_wait_until (has_so_much, &wanted, SUPPORT_PATIENCE_MS))
        support_log_print ();
    pthread_mutex_lock (&self->lock);
    char *seen = strdup (self->text);
    if (self->wrong)
        print_message ("wrong: %s\n", self->last_wrong);
    int wrong = self->wrong;
    pthread_mutex_unlock (&self->lock);
    assert_string_equal (seen, expected);
    assert_int_equal (wrong, 0);
    free (seen);
    forget_notes (self);
}

#define told(expected) told_to (&notes, (expected))

/*  The same, but that one word has its place by chance: its thread ends beside the others. */
static void told_beside (const char *word, const char *expected)
{
    so_much_t wanted = {&notes, strlen (expected) + 1 + strlen (word)};
    if (!support_wait_until (has_so_much, &wanted, SUPPORT_PATIENCE_MS))
        support_log_print ();
    pthread_mutex_lock (&notes.lock);
    char *at = strstr (notes.text, word);
    if (at) {
        memmove (at, at + strlen (word) + 1, strlen (at + strlen (word)));
        notes.size = strlen (notes.text);
    }
    pthread_mutex_unlock (&notes.lock);
    told (expected);
}

/*  ---- The tree ----------------------------------------------------------------------- */

static resil_supervisor_options_t options_of (const char *name, resil_strategy_t strategy,
                                              int max_restarts)
{
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    options.name = name;
    options.strategy = strategy;
    options.max_restarts = max_restarts;
    options.window_ms = SUPPORT_WINDOW_MS;
    options.delay = (resil_delay_t) RESIL_DELAY_NONE;
    return options;
}

/*  Another root. */
static void root_anew (resil_strategy_t strategy, int max_restarts)
{
    resil_supervisor_options_t options = options_of ("app", strategy, max_restarts);
    resil_supervisor_destroy (&root);
    pthread_mutex_lock (&notes.lock);
    notes.last = 0;
    notes.wrong = 0;
    notes.size = 0;
    notes.text[0] = 0;
    pthread_mutex_unlock (&notes.lock);
    root = resil_supervisor_new (&options);
    if (!root)
        fail_msg ("%s", resil_errmsg ());
    ok (resil_supervisor_on_event (root, note, &notes));
}

static int tree_before (void **state)
{
    int rc = trace_before (state);
    lever_open (&a, "a");
    lever_open (&b, "b");
    lever_open (&c, "c");
    lever_open (&d, "d");
    root_anew (RESIL_ONE_FOR_ONE, RESIL_UNLIMITED);
    return rc;
}

static int tree_after (void **state)
{
    resil_supervisor_destroy (&root);
    lever_close (&a);
    lever_close (&b);
    lever_close (&c);
    lever_close (&d);
    return support_after (state);
}

#define tree_case(function) cmocka_unit_test_setup_teardown (function, tree_before, tree_after)

/*  a and b, spawned; what was told of that is looked at elsewhere. */
static void spawn_two (void)
{
    lever_add (root, &a);
    lever_add (root, &b);
    ok (resil_supervisor_spawn (root));
    told ("a#0:added@program b#0:added@program .#1:starting@program "
          "a#1:starting@program a#1:up b#1:starting@program b#1:up .#1:up");
}

/*  a, sub with b and c, d */
static resil_supervisor_t *spawn_four (int sub_max_restarts)
{
    lever_add (root, &a);
    resil_supervisor_t *sub = lever_below (root, "sub", sub_max_restarts);
    lever_add (sub, &b);
    lever_add (sub, &c);
    lever_add (root, &d);
    ok (resil_supervisor_spawn (root));
    told ("a#0:added@program sub#0:added@program sub/b#0:added@program sub/c#0:added@program "
          "d#0:added@program .#1:starting@program a#1:starting@program a#1:up "
          "sub#1:starting@program sub/b#1:starting@program sub/b#1:up sub/c#1:starting@program "
          "sub/c#1:up sub#1:up d#1:starting@program d#1:up .#1:up");
    return sub;
}

/*  ---- Lives -------------------------------------------------------------------------------- */

static void a_simple_life (void **state)
{
    (void) state;
    spawn_two ();
    lever_pull (&a, LEVER_COMPLETE);
    told ("a#1:stopping a#1:down.done");
    lever_pull (&b, LEVER_COMPLETE);
    told ("b#1:stopping b#1:down.done .#1:down .#1:completed");
}

static void a_stop_goes_in_reverse_order (void **state)
{
    (void) state;
    spawn_four (RESIL_UNLIMITED);
    ok (resil_supervisor_stop (root));
    told (".#1:stopping@program d#1:stopping@program d#1:down@program sub#1:stopping@program "
          "sub/c#1:stopping@program sub/c#1:down@program sub/b#1:stopping@program "
          "sub/b#1:down@program sub#1:stopped@program sub#1:down@program a#1:stopping@program "
          "a#1:down@program .#1:down@program .#1:stopped@program");
}

static void destroy_tells_to_the_end (void **state)
{
    (void) state;
    spawn_two ();
    resil_supervisor_destroy (&root);
    assert_true (notes.size > 0);
    told (".#1:stopping@program b#1:stopping@program b#1:down@program a#1:stopping@program "
          "a#1:down@program .#1:down@program .#1:stopped@program");
}

static void a_failure_and_its_restart (void **state)
{
    (void) state;
    spawn_two ();
    lever_pull (&a, LEVER_FAIL);
    told ("a#1:failing!reported a#2:starting!reported a#2:up");
    lever_pull (&a, LEVER_RETURN);
    told ("a#2:failing!returned a#3:starting!returned a#3:up");
    lever_pull (&a, LEVER_PANIC);
    told ("a#3:failing!panicked a#4:starting!panicked a#4:up");
}

static SHARED atomic_int left; /*  failures                                             */

static int fail_again (resil_self_t *self, void *args)
{
    (void) args;
    if (atomic_fetch_sub (&left, 1) > 0)
        return resil_fail (self, EPIPE, "as told");
    return resil_wait (self, NULL, RESIL_FOREVER) < 0 ? 0 : 1;
}

PLACED_TYPE (fails_again, .name = "fails again", .start = fail_again);

/*  A runner that has leave goes on without asking: all is told nevertheless. */
static void restarts_at_once_are_told_in_full (void **state)
{
    (void) state;
    enum { MOST = 200 };
    const int failures = placed_times (MOST, 10);
    atomic_store (&left, failures);
    static char expected[MOST * 128];
    size_t size = (size_t) snprintf (expected, sizeof expected,
                                     "x#0:added@program .#1:starting@program .#1:up "
                                     "x#1:starting@program x#1:up");
    for (int i = 1; i <= failures; i++)
        size += (size_t) snprintf (expected + size, sizeof expected - size,
                                   " x#%d:failing!reported x#%d:starting!reported x#%d:up", i,
                                   i + 1, i + 1);
    forget_notes (&notes);
    resil_spec_t spec = {RESIL_SPEC, .name = "x", .type = "fails again", .placement = placed ()};
    placed_register (&fails_again);
    ok (resil_supervisor_add (root, &spec));
    ok (resil_supervisor_spawn (root));
    /*  the root may be up before or after it */
    so_much_t wanted = {&notes, size};
    assert_true (support_wait_until (has_so_much, &wanted, SUPPORT_PATIENCE_MS));
    char *up = strstr (notes.text, " .#1:up");
    assert_non_null (up);
    memmove (up, up + strlen (" .#1:up"), strlen (up + strlen (" .#1:up")) + 1);
    up = strstr (expected, " .#1:up");
    memmove (up, up + strlen (" .#1:up"), strlen (up + strlen (" .#1:up")) + 1);
    assert_string_equal (notes.text, expected);
    forget_notes (&notes);
}

static void a_delay_is_waited_for_and_hurried (void **state)
{
    (void) state;
    resil_spec_t spec = lever_spec (&a);
    spec.delay = (resil_delay_t){60000, 60000, 1.0, 0, RESIL_FOREVER};
    ok (resil_supervisor_add (root, &spec));
    ok (resil_supervisor_spawn (root));
    told ("a#0:added@program .#1:starting@program a#1:starting@program a#1:up .#1:up");
    lever_pull (&a, LEVER_FAIL);
    told ("a#1:failing!reported a#2:starting!reported a#2:up");
    lever_pull (&a, LEVER_FAIL);
    told ("a#2:failing!reported a#2:waiting!reported");
    ok (resil_supervisor_hurry_child (root, "a"));
    told ("a#3:starting@program a#3:up");
    lever_pull (&a, LEVER_FAIL);
    told ("a#3:failing!reported a#3:waiting!reported");
    ok (resil_supervisor_terminate_child (root, "a"));
    told ("a#3:stopping!reported@program a#3:down!reported@program");
}

static resil_event_t last_event;
static char last_text[RESIL_ERROR_TEXT_MAX];
static atomic_bool keeps;

static void keep_waiting (const resil_event_t *event, void *arg)
{
    note (event, arg);
    if (event->kind != RESIL_EVENT_STATE || event->to != RESIL_WAITING)
        return;
    last_event = *event;
    snprintf (last_text, sizeof last_text, "%s#%d %s %d %s", resil_error_component (event->error),
              (int) resil_error_incarnation (event->error), resil_error_text (event->error),
              resil_error_code (event->error), strrchr (resil_error_file (event->error), '/') + 1);
    atomic_store (&keeps, true);
}

static void an_event_has_the_whole_error_and_the_delay (void **state)
{
    (void) state;
    resil_spec_t spec = lever_spec (&a);
    spec.delay = (resil_delay_t){60000, 60000, 1.0, 0, RESIL_FOREVER};
    ok (resil_supervisor_on_event (root, keep_waiting, &notes));
    ok (resil_supervisor_add (root, &spec));
    ok (resil_supervisor_spawn (root));
    lever_pull (&a, LEVER_FAIL);
    trace_wait ("+a#2");
    lever_pull (&a, LEVER_FAIL);
    while (!atomic_load (&keeps))
        poll (NULL, 0, 1);
    assert_string_equal (last_text, "a#2 told to fail 7 lever.h");
    assert_int_equal (last_event.delay_ms, 60000);
    assert_int_equal (last_event.from, RESIL_FAILING);
    assert_int_equal (last_event.incarnation, 2);
    assert_false (last_event.is_supervisor);
    assert_int_equal (last_event.dropped, 0);
}

static void starts_in_vain (void **state)
{
    (void) state;
    ok (resil_supervisor_spawn (root));
    atomic_store (&a.fail_starts, 1);
    resil_spec_t spec = lever_spec (&a);
    refused (resil_supervisor_add (root, &spec), ECHILD, "a start in vain");
    told (".#1:starting@program .#1:up a#0:added@program a#1:starting@program "
          "a#1:failing!reported a#1:stopping!reported a#1:down!reported a#1:removed");
    atomic_store (&b.ignore_starts, 1);
    lever_add (root, &b);
    told ("b#0:added@program b#1:starting@program b#1:stopping b#1:down.done .#1:down "
          ".#1:completed");
}

static void a_boot_that_fails (void **state)
{
    (void) state;
    atomic_store (&b.fail_starts, 1);
    lever_add (root, &a);
    lever_add (root, &b);
    lever_add (root, &c);
    refused (resil_supervisor_spawn (root), ECHILD, "a start in vain");
    told ("a#0:added@program b#0:added@program c#0:added@program .#1:starting@program "
          "a#1:starting@program a#1:up b#1:starting@program b#1:failing!reported "
          "b#1:stopping!reported b#1:down!reported .#1:escalated!reported@b? "
          ".#1:stopping!reported@b? a#1:stopping@b? a#1:down@b? .#1:down!reported@b? "
          ".#1:escalated!reported@b?");
}

/*  ---- Commands -------------------------------------------------------------------------------- */

static void commands_say_by_whom (void **state)
{
    (void) state;
    spawn_two ();
    ok (resil_supervisor_terminate_child (root, "a"));
    told ("a#1:stopping@program a#1:down@program");
    ok (resil_supervisor_restart_child (root, "a"));
    told ("a#2:starting@program a#2:up");
    lever_pull (&a, LEVER_COMPLETE);
    told ("a#2:stopping a#2:down.done");
    ok (resil_supervisor_terminate_child (root, "a"));
    told ("a#2:down@program");
    ok (resil_supervisor_delete_child (root, "a"));
    told ("a#2:removed@program");
}

static void a_failure_on_the_way_out_is_its_own (void **state)
{
    (void) state;
    spawn_two ();
    atomic_store (&a.fails_when_cancelled, true);
    ok (resil_supervisor_terminate_child (root, "a"));
    told ("a#1:stopping@program a#1:failing!reported a#1:stopping!reported@program "
          "a#1:down!reported@program");
}

static int stop_a (resil_self_t *self, void *args)
{
    (void) self;
    return resil_supervisor_terminate_child (args, "a");
}

static void calls_from_inside_name_the_component (void **state)
{
    (void) state;
    spawn_two ();
    resil_supervisor_t *sub = lever_below (root, "sub", RESIL_UNLIMITED);
    ok (resil_supervisor_spawn (sub));
    resil_spec_t spec = {RESIL_SPEC, .name = "boss", .type = "boss", .args = root};
    static const resil_type_t type = {RESIL_TYPE, .name = "boss", .start = stop_a};
    ok (resil_type_register (&type));
    ok (resil_supervisor_add (sub, &spec));
    so_much_t much = {&notes, strlen ("sub#0:added@program sub#1:starting@program sub#1:up "
                                      "sub/boss#0:added@program sub/boss#1:starting@program "
                                      "sub/boss#1:up sub/boss#1:stopping sub/boss#1:down.done "
                                      "a#1:stopping@sub/boss a#1:down@sub/boss")};
    assert_true (support_wait_until (has_so_much, &much, SUPPORT_PATIENCE_MS));
    assert_non_null (strstr (notes.text, "a#1:stopping@sub/boss"));
    assert_non_null (strstr (notes.text, "a#1:down@sub/boss"));
    forget_notes (&notes);
}

static void those_that_are_forgotten_are_removed (void **state)
{
    (void) state;
    lever_add (root, &b);
    ok (resil_supervisor_spawn (root));
    resil_spec_t spec = lever_spec (&a);
    spec.restart = RESIL_TEMPORARY;
    ok (resil_supervisor_add (root, &spec));
    told ("b#0:added@program .#1:starting@program b#1:starting@program b#1:up .#1:up "
          "a#0:added@program a#1:starting@program a#1:up");
    lever_pull (&a, LEVER_FAIL);
    told ("a#1:failing!reported a#1:stopping!reported a#1:down.done!reported "
          "a#1:removed.done");
    ok (resil_supervisor_add (root, &spec));
    told ("a#0:added@program a#1:starting@program a#1:up");
    ok (resil_supervisor_terminate_child (root, "a"));
    told ("a#1:stopping@program a#1:down@program a#1:removed@program");
}

/*  ---- Groups and trees ---------------------------------------------------------------------------- */

static void a_group_says_who_took_it_along (void **state)
{
    (void) state;
    root_anew (RESIL_ONE_FOR_ALL, RESIL_UNLIMITED);
    spawn_two ();
    lever_add (root, &c);
    told ("c#0:added@program c#1:starting@program c#1:up");
    lever_pull (&b, LEVER_FAIL);
    told ("b#1:failing!reported b#1:waiting!reported c#1:stopping@b? c#1:waiting@b? "
          "a#1:stopping@b? a#1:waiting@b? a#2:starting@b? a#2:up b#2:starting!reported b#2:up "
          "c#2:starting@b? c#2:up");
    ok (resil_supervisor_terminate_child (root, "a"));
    told ("a#2:stopping@program a#2:down@program");
    /*  one that was terminated comes back with its group */
    lever_pull (&c, LEVER_FAIL);
    told ("c#2:failing!reported c#2:waiting!reported b#2:stopping@c? b#2:waiting@c? "
          "a#3:starting@c? a#3:up b#3:starting@c? b#3:up c#3:starting!reported c#3:up");
}

static void the_rest_of_a_group (void **state)
{
    (void) state;
    root_anew (RESIL_REST_FOR_ONE, RESIL_UNLIMITED);
    spawn_two ();
    lever_add (root, &c);
    told ("c#0:added@program c#1:starting@program c#1:up");
    lever_pull (&b, LEVER_FAIL);
    told ("b#1:failing!reported b#1:waiting!reported c#1:stopping@b? c#1:waiting@b? "
          "b#2:starting!reported b#2:up c#2:starting@b? c#2:up");
}

static void a_subtree_that_gives_up (void **state)
{
    (void) state;
    spawn_four (0);
    lever_pull (&b, LEVER_FAIL);
    told_beside (
        "sub/b#1:down!reported",
        "sub/b#1:failing!reported sub/b#1:stopping!reported sub#1:escalated!reported@sub/b? "
        "sub/c#1:stopping@sub/b? sub/c#1:down@sub/b? "
        "sub#1:escalated!reported@sub/b? sub#1:failing!gave-up sub#2:starting!gave-up "
        "sub/b#2:starting!reported sub/b#2:up sub/c#2:starting sub/c#2:up sub#2:up");
}

static void escalation_ends_the_root (void **state)
{
    (void) state;
    root_anew (RESIL_ONE_FOR_ONE, 0);
    spawn_two ();
    lever_pull (&a, LEVER_FAIL);
    told_beside ("a#1:down!reported",
                 "a#1:failing!reported a#1:stopping!reported .#1:escalated!reported@a? "
                 ".#1:stopping!reported@a? b#1:stopping@a? b#1:down@a? "
                 ".#1:down!reported@a? .#1:escalated!reported@a?");
    assert_int_equal (resil_supervisor_wait (root, 0), RESIL_ENDED_ESCALATED);
}

static void what_a_restarted_subtree_begins_with (void **state)
{
    (void) state;
    resil_supervisor_t *sub = spawn_four (0);
    ok (resil_supervisor_terminate_child (sub, "c"));
    ok (resil_supervisor_delete_child (sub, "c"));
    lever_add (sub, &c);
    resil_spec_t spec = lever_spec (&d);
    ok (resil_supervisor_add (sub, &spec));
    told ("sub/c#1:stopping@program sub/c#1:down@program sub/c#1:removed@program "
          "sub/c#0:added@program sub/c#1:starting@program sub/c#1:up sub/d#0:added@program "
          "sub/d#1:starting@program sub/d#1:up");
    lever_pull (&b, LEVER_FAIL);
    told_beside (
        "sub/b#1:down!reported",
        "sub/b#1:failing!reported sub/b#1:stopping!reported sub#1:escalated!reported@sub/b? "
        "sub/d#1:stopping@sub/b? sub/d#1:down@sub/b? sub/c#1:stopping@sub/b? "
        "sub/c#1:down@sub/b? sub#1:escalated!reported@sub/b? "
        "sub#1:failing!gave-up sub#2:starting!gave-up sub/c#1:removed@sub/b? "
        "sub/d#1:removed@sub/b? sub/c#1:added sub/b#2:starting!reported sub/b#2:up "
        "sub/c#2:starting sub/c#2:up sub#2:up");
}

/*  Who has the subtree started again has back those that it begins with. */
static void one_that_is_back_says_who_had_its_subtree_started (void **state)
{
    (void) state;
    resil_supervisor_t *sub = spawn_four (0);
    ok (resil_supervisor_terminate_child (sub, "c"));
    ok (resil_supervisor_delete_child (sub, "c"));
    ok (resil_supervisor_terminate_child (root, "sub"));
    told ("sub/c#1:stopping@program sub/c#1:down@program sub/c#1:removed@program "
          "sub#1:stopping@program sub/b#1:stopping@program sub/b#1:down@program "
          "sub#1:stopped@program sub#1:down@program");
    ok (resil_supervisor_restart_child (root, "sub"));
    told ("sub#2:starting@program sub/c#1:added@program sub/b#2:starting@program sub/b#2:up "
          "sub/c#2:starting@program sub/c#2:up sub#2:up");
}

static void one_that_is_back_says_who_took_its_subtree_along (void **state)
{
    (void) state;
    root_anew (RESIL_ONE_FOR_ALL, RESIL_UNLIMITED);
    resil_supervisor_t *sub = spawn_four (0);
    ok (resil_supervisor_terminate_child (sub, "c"));
    ok (resil_supervisor_delete_child (sub, "c"));
    ok (resil_supervisor_terminate_child (root, "d"));
    told ("sub/c#1:stopping@program sub/c#1:down@program sub/c#1:removed@program "
          "d#1:stopping@program d#1:down@program");
    lever_pull (&a, LEVER_FAIL);
    told ("a#1:failing!reported a#1:waiting!reported sub#1:stopping@a? sub/b#1:stopping@a? "
          "sub/b#1:down@a? sub#1:stopped@a? sub#1:waiting@a? a#2:starting!reported a#2:up "
          "sub#2:starting@a? sub/c#1:added@a? sub/b#2:starting@a? sub/b#2:up "
          "sub/c#2:starting@a? sub/c#2:up sub#2:up d#2:starting@a? d#2:up");
}

static void a_subtree_is_deleted_with_all_below_it (void **state)
{
    (void) state;
    spawn_four (0);
    ok (resil_supervisor_terminate_child (root, "sub"));
    told ("sub#1:stopping@program sub/c#1:stopping@program sub/c#1:down@program "
          "sub/b#1:stopping@program sub/b#1:down@program sub#1:stopped@program "
          "sub#1:down@program");
    ok (resil_supervisor_delete_child (root, "sub"));
    told ("sub/c#1:removed@program sub/b#1:removed@program sub#1:removed@program");
}

/*  ---- Hangs ----------------------------------------------------------------------------------------- */

static SHARED atomic_bool hog_may_go;

static int hang (resil_self_t *self, void *args)
{
    (void) args;
    resil_ready (self);
    if (resil_self_incarnation (self) > 1)
        return resil_wait (self, NULL, RESIL_FOREVER) < 0 ? 0 : 1;
    while (!atomic_load (&hog_may_go))
        poll (NULL, 0, 1);
    return 0;
}

PLACED_TYPE (hog, .name = "hog", .start = hang);

static void one_that_hangs_is_quarantined_and_may_return (void **state)
{
    (void) state;
    placed_register (&hog);
    resil_spec_t spec = {RESIL_SPEC, .name = "hog", .type = "hog", .placement = placed ()};
    spec.ready_required = true;
    spec.args_shared = placed () != RESIL_PROCESS;
    spec.hang_ms = placed_times (500, 3000); /*  the next one is not to hang                 */
    spec.shutdown_ms = 500;
    atomic_store (&hog_may_go, false);
    ok (resil_supervisor_add (root, &spec));
    ok (resil_supervisor_spawn (root));
    told ("hog#0:added@program .#1:starting@program hog#1:starting@program hog#1:up .#1:up");
    if (placed () == RESIL_PROCESS) { /*  which is killed                              */
        told ("hog#1:stopping!hung hog#1:failing!hung hog#2:starting!hung hog#2:up");
        return;
    }
    told ("hog#1:stopping!hung hog#1:quarantined!hung hog#1:failing!hung hog#2:starting!hung "
          "hog#2:up");
    atomic_store (&hog_may_go, true);
    told ("hog#1:returned");
}

static void one_that_does_not_stop (void **state)
{
    (void) state;
    resil_spec_t spec = {RESIL_SPEC, .name = "hog", .type = "hog", .placement = placed ()};
    placed_register (&hog);
    spec.ready_required = true;
    spec.shutdown_ms = 500;
    atomic_store (&hog_may_go, false);
    ok (resil_supervisor_add (root, &spec));
    ok (resil_supervisor_spawn (root));
    told ("hog#0:added@program .#1:starting@program hog#1:starting@program hog#1:up .#1:up");
    ok (resil_supervisor_terminate_child (root, "hog"));
    if (placed () == RESIL_PROCESS) {
        told ("hog#1:stopping@program hog#1:down@program");
        return;
    }
    told ("hog#1:stopping@program hog#1:quarantined!exit-overrun@program hog#1:down@program");
    atomic_store (&hog_may_go, true);
    told ("hog#1:returned");
}

/*  ---- Callbacks ----------------------------------------------------------------------------------------- */

static atomic_int inside;
static atomic_bool may_leave;
static atomic_int heard;
static atomic_int dropped;

static void hold_up (const resil_event_t *event, void *arg)
{
    (void) arg;
    atomic_fetch_add (&inside, 1);
    while (!atomic_load (&may_leave))
        poll (NULL, 0, 1);
    atomic_fetch_add (&dropped, (int) event->dropped);
    atomic_store (&heard, (int) event->sequence);
    atomic_fetch_sub (&inside, 1);
}

static void a_callback_that_blocks_delays_nobody_and_what_it_misses_is_counted (void **state)
{
    (void) state;
    enum { FAILURES = 5000 };
    atomic_store (&left, FAILURES);
    atomic_store (&may_leave, false);
    atomic_store (&dropped, 0);
    atomic_store (&heard, 0);
    ok (resil_supervisor_on_event (root, hold_up, NULL));
    placed_register (&fails_again);
    resil_spec_t spec = {RESIL_SPEC, .name = "x", .type = "fails again"};
    ok (resil_supervisor_add (root, &spec));
    ok (resil_supervisor_spawn (root));
    uint64_t last = 0;
    bool settled = false;
    while (!settled) {
        poll (NULL, 0, 1);
        resil_snapshot_t *snapshot = resil_supervisor_snapshot (root);
        const resil_standing_t *is = resil_snapshot_find (snapshot, "/app/x");
        settled = is->incarnation == FAILURES + 1 && is->state == RESIL_UP;
        last = resil_snapshot_sequence (snapshot);
        resil_snapshot_destroy (&snapshot);
    }
    /*  added, root twice, and for each incarnation failing, starting, up (the first: no failing) */
    assert_int_equal (last, 3 + 3 * (FAILURES + 1) - 1);
    assert_int_equal (atomic_load (&inside), 1);
    atomic_store (&may_leave, true);
    resil_spec_t more = lever_spec (&a);
    for (int i = 0; atomic_load (&heard) < (int) last; i++) {
        char name[16];
        snprintf (name, sizeof name, "m%d", i);
        more.name = name;
        more.args = &a;
        ok (resil_supervisor_add (root, &more));
        poll (NULL, 0, 1);
        assert_in_range (i, 0, 1000);
    }
    assert_in_range (atomic_load (&dropped), 1, last);
}

static void one_that_is_replaced_runs_no_more (void **state)
{
    (void) state;
    spawn_two ();
    atomic_store (&may_leave, false);
    ok (resil_supervisor_on_event (root, hold_up, NULL));
    lever_pull (&a, LEVER_FAIL);
    trace_wait ("+a#2");
    trace_wait_number (&inside, 1);
    /*  it hangs; the new one counts */
    refused (resil_supervisor_on_event (root, note, &notes), ETIMEDOUT, "has not returned");
    atomic_store (&may_leave, true);
    so_much_t much = {&notes, strlen ("a#2:starting!reported a#2:up")};
    assert_true (support_wait_until (has_so_much, &much, SUPPORT_PATIENCE_MS));
    pthread_mutex_lock (&notes.lock);
    notes.wrong = 0; /*  it has not seen those before                                       */
    pthread_mutex_unlock (&notes.lock);
    told ("a#2:starting!reported a#2:up");
    ok (resil_supervisor_on_event (root, NULL, NULL));
    ok (resil_supervisor_terminate_child (root, "a"));
    assert_int_equal (notes.size, 0);
}

static void replace_from_inside (const resil_event_t *event, void *arg)
{
    (void) event;
    resil_supervisor_t *supervisor = arg;
    atomic_fetch_add (&heard, 1);
    if (resil_supervisor_on_event (supervisor, note, &notes))
        atomic_store (&heard, 1000);
    resil_snapshot_t *snapshot = resil_supervisor_snapshot (supervisor); /*  any call is free */
    resil_snapshot_destroy (&snapshot);
}

static void one_may_replace_itself (void **state)
{
    (void) state;
    atomic_store (&heard, 0);
    spawn_two ();
    notes.last++;
    ok (resil_supervisor_on_event (root, replace_from_inside, root));
    ok (resil_supervisor_terminate_child (root, "a"));
    told ("a#1:down@program");
    assert_int_equal (atomic_load (&heard), 1);
}

static resil_supervisor_t *to_destroy;

static void destroy_from_inside (const resil_event_t *event, void *arg)
{
    (void) arg;
    if (event->kind == RESIL_EVENT_STATE && event->to == RESIL_UP && event->is_supervisor) {
        resil_supervisor_destroy (&to_destroy);
        atomic_store (&heard, 1);
    }
}

static void a_tree_may_be_destroyed_in_its_callback (void **state)
{
    (void) state;
    atomic_store (&heard, 0);
    lever_add (root, &a);
    ok (resil_supervisor_on_event (root, destroy_from_inside, NULL));
    to_destroy = root;
    resil_supervisor_t *mine = root;
    root = NULL;
    ok (resil_supervisor_stop (NULL) == -1 ? 0 : 1);
    resil_supervisor_spawn (mine);
    trace_wait_number (&heard, 1);
    assert_null (to_destroy);
}

static void a_hung_callback_does_not_hold_destroy (void **state)
{
    (void) state;
    atomic_store (&may_leave, false);
    ok (resil_supervisor_on_event (root, hold_up, NULL));
    lever_add (root, &a);
    ok (resil_supervisor_spawn (root));
    trace_wait_number (&inside, 1);
    resil_supervisor_destroy (&root);
    assert_int_equal (atomic_load (&inside), 1);
    atomic_store (&may_leave, true); /*  that it is freed then, the leak check tells          */
}

static void two_trees_are_numbered_by_themselves (void **state)
{
    (void) state;
    static notes_t others = {.lock = PTHREAD_MUTEX_INITIALIZER};
    resil_supervisor_options_t options = options_of ("other", RESIL_ONE_FOR_ONE, RESIL_UNLIMITED);
    resil_supervisor_t *other = resil_supervisor_new (&options);
    ok (resil_supervisor_on_event (other, note, &others));
    lever_add (other, &c);
    ok (resil_supervisor_spawn (other));
    spawn_two ();
    told_to (&others, "/other/c#0:added@program /other#1:starting@program "
                      "/other/c#1:starting@program /other/c#1:up /other#1:up");
    assert_int_equal (others.last, 5);
    assert_int_equal (notes.last, 8);
    lever_pull (&c, LEVER_FAIL);
    told_to (&others, "/other/c#1:failing!reported /other/c#2:starting!reported /other/c#2:up");
    resil_supervisor_destroy (&other);
}

static void they_are_counted_while_nobody_listens (void **state)
{
    (void) state;
    ok (resil_supervisor_on_event (root, NULL, NULL));
    lever_add (root, &a);
    ok (resil_supervisor_spawn (root));
    resil_snapshot_t *snapshot = resil_supervisor_snapshot (root);
    assert_int_equal (resil_snapshot_sequence (snapshot), 5);
    notes.last = 5;
    resil_snapshot_destroy (&snapshot);
    assert_int_equal (resil_snapshot_sequence (NULL), 0);
    ok (resil_supervisor_on_event (root, note, &notes));
    ok (resil_supervisor_terminate_child (root, "a"));
    told ("a#1:stopping@program a#1:down@program");
}

static void what_is_wrong_is_refused (void **state)
{
    (void) state;
    refused (resil_supervisor_on_event (NULL, note, NULL), EINVAL, "NULL");
    errno = 0;
    assert_null (resil_supervisor_events (NULL));
    assert_int_equal (errno, EINVAL);
    assert_string_equal (resil_event_kind_name ((resil_event_kind_t) 0), "");
    assert_string_equal (resil_event_kind_name ((resil_event_kind_t) 11), "");
    assert_string_equal (resil_event_kind_name (RESIL_EVENT_QUARANTINED), "quarantined");
}

/*  ---- The stream -------------------------------------------------------------------------------------------- */

/*  Subscribed, and certain to get what comes after *sequence. */
static zsock_t *subscribe (const char *topic, unsigned long long *sequence)
{
    const char *endpoint = resil_supervisor_events (root);
    if (!endpoint)
        fail_msg ("%s", resil_errmsg ());
    zsock_t *sub = zsock_new_sub (endpoint, topic);
    zsock_set_rcvtimeo (sub, SUPPORT_PATIENCE_MS);
    for (char *line = NULL, *seen = NULL;;) {
        assert_int_equal (zstr_recvx (sub, &seen, &line, NULL), 2);
        bool is_beat = strstr (line, " kind=beat");
        if (is_beat) {
            assert_string_equal (seen, topic);
            assert_int_equal (sscanf (line, "seq=%llu ", sequence), 1);
        }
        zstr_free (&seen);
        zstr_free (&line);
        if (is_beat)
            return sub;
    }
}

static void without_descriptors_there_is_no_stream (void **state)
{
    (void) state;
    struct rlimit before, less;
    getrlimit (RLIMIT_NOFILE, &before);
    less = before;
    less.rlim_cur = (rlim_t) support_descriptors () + 4;
    setrlimit (RLIMIT_NOFILE, &less);
    errno = 0;
    const char *endpoint = resil_supervisor_events (root);
    int error = errno;
    setrlimit (RLIMIT_NOFILE, &before);
    assert_null (endpoint);
    assert_int_equal (error, EMFILE);
    said ("the events of \"/app\"");
    assert_non_null (resil_supervisor_events (root)); /*  later there is                       */
}

/*  The next message begins with that topic and holds those words. */
static void comes (zsock_t *sub, const char *topic, const char *words)
{
    char *seen = NULL, *line = NULL;
    if (zstr_recvx (sub, &seen, &line, NULL) != 2)
        fail_msg ("nothing comes: %s", words);
    assert_string_equal (seen, topic);
    if (!strstr (line, words))
        fail_msg ("\"%s\" does not say \"%s\"", line, words);
    zstr_free (&seen);
    zstr_free (&line);
}

static void nothing_comes (zsock_t *sub)
{
    zsock_set_rcvtimeo (sub, 0);
    char *line = zstr_recv (sub);
    if (line)
        fail_msg ("this comes: %s", line);
}

static void a_socket_gets_what_it_has_subscribed_to (void **state)
{
    (void) state;
    unsigned long long since = 0;
    resil_supervisor_t *web = lever_below (root, "web", RESIL_UNLIMITED);
    resil_supervisor_t *web2 = lever_below (root, "web2", RESIL_UNLIMITED);
    lever_add (web, &a);
    lever_add (web2, &b);
    zsock_t *all = subscribe ("", &since);
    zsock_t *sub = subscribe ("/app/web/", &since);
    assert_int_equal (since, 4);
    ok (resil_supervisor_spawn (root));
    comes (sub, "/app/web/",
           "kind=state path=/app/web supervisor=yes incarnation=1 from=down "
           "to=starting commanded=yes by=program");
    comes (sub, "/app/web/a/", "path=/app/web/a incarnation=1 from=down to=starting");
    comes (sub, "/app/web/a/", "from=starting to=up");
    comes (sub, "/app/web/", "path=/app/web supervisor=yes incarnation=1 from=starting to=up");
    lever_pull (&b, LEVER_FAIL);
    trace_wait ("+b#2");
    lever_pull (&a, LEVER_FAIL);
    comes (sub, "/app/web/a/",
           "from=up to=failing cause=reported code=7 error_incarnation=1 error_at_us=");
    comes (sub, "/app/web/a/", "from=failing to=starting");
    comes (sub, "/app/web/a/", "incarnation=2 from=starting to=up");

    static const char *const topics[] = {
        "/app/web/" /*  the beat of the other, which begins so   */,
        "/app/",
        "/app/web/",
        "/app/web/a/",
        "/app/web/a/",
        "/app/web/",
        "/app/web2/",
        "/app/web2/b/",
        "/app/web2/b/",
        "/app/web2/",
        "/app/"};
    for (size_t i = 0; i < sizeof topics / sizeof *topics; i++)
        comes (all, topics[i], "seq=");
    /*  What is told at the end is there after it. */
    resil_supervisor_destroy (&root);
    comes (sub, "/app/web/", "to=stopping");
    comes (sub, "/app/web/a/", "to=stopping");
    comes (sub, "/app/web/a/", "to=down");
    comes (sub, "/app/web/",
           "kind=ended path=/app/web supervisor=yes incarnation=1 reason=stopped "
           "commanded=yes by=program");
    comes (sub, "/app/web/", "to=down");
    nothing_comes (sub);
    zsock_destroy (&all);
    zsock_destroy (&sub);
}

static unsigned long long next_sequence (zsock_t *sub)
{
    char *topic = NULL, *line = NULL;
    if (zstr_recvx (sub, &topic, &line, NULL) != 2)
        return 0;
    unsigned long long sequence = strtoull (line + strlen ("seq="), NULL, 10);
    zstr_free (&topic);
    zstr_free (&line);
    return sequence;
}

static void the_stream_is_numbered_as_the_callback (void **state)
{
    (void) state;
    unsigned long long since = 0;
    lever_add (root, &a);
    assert_string_equal (resil_supervisor_events (root), resil_supervisor_events (root));
    zsock_t *sub = subscribe ("/app/", &since);
    assert_int_equal (since, 1);
    ok (resil_supervisor_spawn (root));
    ok (resil_supervisor_stop (root));
    told ("a#0:added@program .#1:starting@program a#1:starting@program a#1:up .#1:up "
          ".#1:stopping@program a#1:stopping@program a#1:down@program .#1:down@program "
          ".#1:stopped@program");
    for (unsigned long long sequence = 2; sequence <= notes.last; sequence++)
        assert_int_equal (next_sequence (sub), sequence);
    nothing_comes (sub);
    zsock_destroy (&sub);
}

static void a_reader_that_does_not_read_delays_nobody (void **state)
{
    (void) state;
    enum { FAILURES = 10000 };
    atomic_store (&left, FAILURES);
    unsigned long long since = 0, before = 0, got = 0, missed = 0;
    placed_register (&fails_again);
    ok (resil_supervisor_on_event (root, NULL, NULL));
    zsock_t *sub = subscribe ("", &since);
    resil_spec_t spec = {RESIL_SPEC, .name = "x", .type = "fails again"};
    ok (resil_supervisor_add (root, &spec));
    ok (resil_supervisor_spawn (root));
    trace_number_t wanted = {&left, 0};
    while (atomic_load (wanted.number) >= 0)
        poll (NULL, 0, 1);
    ok (resil_supervisor_stop (root));
    zsock_set_rcvtimeo (sub, 0);
    for (unsigned long long sequence; (sequence = next_sequence (sub));) {
        assert_true (sequence > before);
        missed += sequence - before - 1;
        before = sequence;
        got++;
    }
    assert_in_range (got, 16384, 3 * FAILURES);
    assert_int_equal (before, got + missed);
    zsock_destroy (&sub);
}

/*  ---- A snapshot from events alone ---------------------------------------------------------------------------- */

typedef struct {
    char path[128];
    resil_state_t state;
    uint64_t incarnation;
    bool is_done;
    bool is_supervisor;
} known_t;

static struct {
    pthread_mutex_t lock;
    known_t all[256];
    size_t count;
    uint64_t last;
    int wrong;
    char last_wrong[256];
} book = {.lock = PTHREAD_MUTEX_INITIALIZER};

static known_t *known (const char *path)
{
    for (size_t i = 0; i < book.count; i++)
        if (strcmp (book.all[i].path, path) == 0)
            return &book.all[i];
    return NULL;
}

static void find_wrong (const resil_event_t *event, const char *what)
{
    book.wrong++;
    snprintf (book.last_wrong, sizeof book.last_wrong, "%d %s %s#%d %s>%s: %s",
              (int) event->sequence, resil_event_kind_name (event->kind), event->path,
              (int) event->incarnation, resil_state_name (event->from),
              resil_state_name (event->to), what);
}

static void remove_known (const char *path)
{
    size_t size = strlen (path), kept = 0;
    for (size_t i = 0; i < book.count; i++) {
        const char *other = book.all[i].path;
        if (strncmp (other, path, size) || (other[size] != '/' && other[size] != 0))
            book.all[kept++] = book.all[i];
    }
    book.count = kept;
}

static void keep_book (const resil_event_t *event, void *arg)
{
    (void) arg;
    pthread_mutex_lock (&book.lock);
    known_t *one = known (event->path);
    if (event->sequence != book.last + 1)
        find_wrong (event, "a gap");
    book.last = event->sequence;
    if (event->kind == RESIL_EVENT_ADDED) {
        if (one)
            find_wrong (event, "added twice");
        else if (book.count < sizeof book.all / sizeof *book.all)
            one = &book.all[book.count++];
        *one = (known_t){.state = event->to, .is_supervisor = event->is_supervisor};
        snprintf (one->path, sizeof one->path, "%s", event->path);
    }
    if (!one)
        find_wrong (event, "of nobody");
    else if (event->kind == RESIL_EVENT_STATE && event->from != one->state)
        find_wrong (event, "it was at something else");
    else if (event->kind != RESIL_EVENT_RETURNED && event->kind != RESIL_EVENT_QUARANTINED) {
        if (event->to != one->state && event->kind != RESIL_EVENT_STATE &&
            event->kind != RESIL_EVENT_ADDED)
            find_wrong (event, "it is at something else");
        one->state = event->to;
        one->incarnation = event->incarnation;
        if (!(one->is_supervisor && event->kind != RESIL_EVENT_STATE))
            one->is_done = event->is_done;
    }
    if (event->kind == RESIL_EVENT_REMOVED)
        remove_known (event->path);
    pthread_mutex_unlock (&book.lock);
}

static bool book_is_at (void *arg)
{
    pthread_mutex_lock (&book.lock);
    bool is_at = book.last >= *(uint64_t *) arg;
    pthread_mutex_unlock (&book.lock);
    return is_at;
}

static void compare_with_book (const resil_snapshot_t *snapshot)
{
    uint64_t sequence = resil_snapshot_sequence (snapshot);
    assert_true (support_wait_until (book_is_at, &sequence, SUPPORT_PATIENCE_MS));
    pthread_mutex_lock (&book.lock);
    bool is_same_time = book.last == sequence;
    size_t count = book.count;
    int wrong = book.wrong;
    if (wrong)
        print_message ("%s\n", book.last_wrong);
    for (size_t i = 0; is_same_time && !wrong && i < resil_snapshot_size (snapshot); i++) {
        const resil_standing_t *is = resil_snapshot_at (snapshot, i);
        const known_t *one = known (is->path);
        wrong = !one || one->state != is->state || one->incarnation != is->incarnation ||
                one->is_done != is->is_done;
        if (wrong)
            print_message ("at %d: %s#%d %s%s, by events #%d %s%s\n", (int) sequence, is->path,
                           (int) is->incarnation, resil_state_name (is->state),
                           is->is_done ? " done" : "", one ? (int) one->incarnation : -1,
                           one ? resil_state_name (one->state) : "unknown",
                           one && one->is_done ? " done" : "");
    }
    pthread_mutex_unlock (&book.lock);
    assert_int_equal (wrong, 0);
    if (is_same_time)
        assert_int_equal (count, resil_snapshot_size (snapshot));
}

static uint32_t chance_state;

static int chance (int of)
{
    chance_state = chance_state * 1664525u + 1013904223u;
    return (int) (chance_state >> 8) % of;
}

enum { LEVERS = 12 };

static void do_something (resil_supervisor_t **subs, lever_t *levers)
{
    int which = chance (LEVERS);
    resil_supervisor_t *self = which % 4 == 3 ? root : subs[which % 3];
    lever_t *lever = &levers[which];
    switch (chance (12)) {
    case 0:
    case 1:
    case 2:
        lever_pull (lever, LEVER_FAIL);
        break;
    case 3:
        lever_pull (lever, LEVER_COMPLETE);
        break;
    case 4:
        lever_pull (lever, LEVER_PANIC);
        break;
    case 5:
        resil_supervisor_terminate_child (self, lever->name);
        break;
    case 6:
    case 7:
        resil_supervisor_restart_child (self, lever->name);
        break;
    case 8:
        resil_supervisor_delete_child (self, lever->name);
        break;
    case 9: {
        resil_spec_t spec = lever_spec (lever);
        spec.restart = (resil_restart_t) chance (3);
        resil_supervisor_add (self, &spec);
        break;
    }
    case 10:
        resil_supervisor_hurry_child (self, lever->name);
        atomic_store (&lever->fail_starts, chance (2));
        break;
    case 11: {
        const char *name = resil_supervisor_name (subs[chance (3)]);
        if (chance (2))
            resil_supervisor_terminate_child (root, name);
        resil_supervisor_restart_child (root, name);
        break;
    }
    }
}

static void the_events_alone_make_the_snapshot (void **state)
{
    (void) state;
    static const resil_strategy_t strategies[] = {RESIL_ONE_FOR_ALL, RESIL_REST_FOR_ONE,
                                                  RESIL_ONE_FOR_ONE};
    static const char *const names[] = {"s0", "s1", "s2"};
    static char lever_names[LEVERS][16];
    static SHARED lever_t levers[LEVERS];
    const char *given = getenv ("SEED");
    chance_state = given ? (uint32_t) strtoul (given, NULL, 10) : 20260131u;
    resil_supervisor_t *subs[3];
    book.count = 1;
    book.all[0] = (known_t){.path = "/app", .incarnation = 1, .is_supervisor = true};
    book.last = 0;
    book.wrong = 0;
    ok (resil_supervisor_on_event (root, keep_book, NULL));
    for (int i = 0; i < LEVERS; i++) {
        snprintf (lever_names[i], sizeof lever_names[i], "l%d", i);
        lever_open (&levers[i], lever_names[i]);
    }
    for (int i = 0; i < 3; i++) {
        resil_supervisor_options_t options = options_of (names[i], strategies[i], 2);
        options.window_ms = 50;
        options.delay = (resil_delay_t){1, 10, 2.0, 20, 100};
        resil_spec_t spec = {RESIL_SUBTREE, .name = names[i]};
        subs[i] = resil_supervisor_add_supervisor (i == 2 ? subs[0] : root, &spec, &options);
        assert_non_null (subs[i]);
    }
    for (int i = 0; i < LEVERS; i++)
        lever_add (i % 4 == 3 ? root : subs[i % 3], &levers[i]);
    ok (resil_supervisor_spawn (root));
    int compared = 0;
    for (int i = 0; i < 1500; i++) {
        do_something (subs, levers);
        if (chance (10) == 0)
            poll (NULL, 0, chance (4));
        if (i % 25 == 0) {
            resil_snapshot_t *snapshot = resil_supervisor_snapshot (root);
            compare_with_book (snapshot);
            resil_snapshot_destroy (&snapshot);
            compared++;
        }
    }
    ok (resil_supervisor_stop (root));
    resil_snapshot_t *snapshot = resil_supervisor_snapshot (root);
    compare_with_book (snapshot);
    print_message ("%d events\n", (int) resil_snapshot_sequence (snapshot));
    resil_snapshot_destroy (&snapshot);
    resil_supervisor_destroy (&root);
    for (int i = 0; i < LEVERS; i++)
        lever_close (&levers[i]);
}

int main (void)
{
    placed_begin ();
    const struct CMUnitTest cases[] = {
        tree_case (a_simple_life),
        tree_case (a_stop_goes_in_reverse_order),
        tree_case (destroy_tells_to_the_end),
        tree_case (a_failure_and_its_restart),
        tree_case (restarts_at_once_are_told_in_full),
        tree_case (a_delay_is_waited_for_and_hurried),
        tree_case (an_event_has_the_whole_error_and_the_delay),
        tree_case (starts_in_vain),
        tree_case (a_boot_that_fails),
        tree_case (commands_say_by_whom),
        tree_case (a_failure_on_the_way_out_is_its_own),
        tree_case (calls_from_inside_name_the_component),
        tree_case (those_that_are_forgotten_are_removed),
        tree_case (a_group_says_who_took_it_along),
        tree_case (the_rest_of_a_group),
        tree_case (a_subtree_that_gives_up),
        tree_case (escalation_ends_the_root),
        tree_case (what_a_restarted_subtree_begins_with),
        tree_case (one_that_is_back_says_who_had_its_subtree_started),
        tree_case (one_that_is_back_says_who_took_its_subtree_along),
        tree_case (a_subtree_is_deleted_with_all_below_it),
        tree_case (one_that_hangs_is_quarantined_and_may_return),
        tree_case (one_that_does_not_stop),
        tree_case (a_callback_that_blocks_delays_nobody_and_what_it_misses_is_counted),
        tree_case (one_that_is_replaced_runs_no_more),
        tree_case (one_may_replace_itself),
        tree_case (a_tree_may_be_destroyed_in_its_callback),
        tree_case (a_hung_callback_does_not_hold_destroy),
        tree_case (two_trees_are_numbered_by_themselves),
        tree_case (they_are_counted_while_nobody_listens),
        tree_case (what_is_wrong_is_refused),
        tree_case (without_descriptors_there_is_no_stream),
        tree_case (a_socket_gets_what_it_has_subscribed_to),
        tree_case (the_stream_is_numbered_as_the_callback),
        tree_case (a_reader_that_does_not_read_delays_nobody),
        tree_case (the_events_alone_make_the_snapshot),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
