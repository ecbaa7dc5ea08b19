/*  One set of books. What is written down of a component must be the same whether its runner goes on by a
    grant or asks before each restart. A small world (a supervisor, one or two children, fake runners) is
    driven through every order in which the threads and the supervisor can take their steps, also
    through those where a thread goes on in the middle of what the supervisor does; twice: with runners that use their
    leave, and with runners that always ask.

    What a component does depends on its incarnation alone, and so does the time at which it does it. So
    without a call from outside there is one outcome, and it is the same both times. A call (a
    stop, a change) may come before or after any step; then what can come of it with grants must be
    something that can come of it without them.

    An order is a list of choices. Each run makes the choices of the one before, up to the last that
    leaves another one, as many runs as there are. A world that has been seen before, to the last bit
    that matters and with the same books so far, has no other future: it is not gone through again.

    CASE=text drives only the cases whose name has it; SHOW=1 prints each, and how many outcomes it has.

    ctest timeout: 300
    ctest link: -Wl,--wrap=epoll_ctl,--wrap=resil__loop_answer,--wrap=resil__outlet_put

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "fake_runner.h"
#include "foundation/clock.h"
#include "supervisor/event_codec.h"
#include "supervisor/snapshot.h"
#include "supervisor/state.h"

/*  ---- Cases ---- */

/*  What an incarnation does, a letter each; one without a letter stays up:

        r  reports and returns        R  ... and its handler declines
        w  reports, waits for the ack unless it has a grant, and returns
        p  panics, also when it has been told to return, or returns then
        e  returns an error
        q  returns an error before it is ready
        c  completes
        u  stays until it is told to return

    The calls, a letter each, in this order, at every moment each:

        t  terminate a                r  restart a
        h  hurry a                    d  delete a
        x  stop all                   T  a is temporary from now on
        D  a has a delay              N  a has none
        A  a has other arguments      1  the supervisor has a limit of one restart
        U  the supervisor has no limit
        G  its children are restarted together */
typedef struct {
    const char *name;
    const char *letters; /*  of the scripts of a: all of `length` of these ...         */
    int length;
    const char *tail;  /*  ... and then this                                        */
    const char *other; /*  the script of b, or NULL: there is none                  */
    const char *calls;
    int meanwhile; /*  steps of threads in one turn of the supervisor's         */
    bool ready;    /*  it is up only when it says so                            */
    bool delays;
    bool is_permanent;
    int max_restarts;
    bool may_race; /*  the order decides, also without calls                    */
} case_t;

#define NO_LIMIT RESIL_UNLIMITED

static const case_t cases_of_grants[] = {
    {"alone", "rwpeR", 2, "", NULL, "", 0, false, false, false, NO_LIMIT, false},
    {"alone, in a turn", "rwpeR", 1, "u", NULL, "", 1, false, false, false, NO_LIMIT, false},
    {"alone, twice in a turn", "r", 1, "u", NULL, "", 2, false, false, false, NO_LIMIT, false},
    {"alone, again", "rp", 2, "", NULL, "", 1, false, false, false, NO_LIMIT, false},
    {"alone, three times", "r", 2, "p", NULL, "", 1, false, false, false, NO_LIMIT, false},
    {"alone, ready", "rwpeRq", 1, "", NULL, "", 1, true, false, false, NO_LIMIT, false},
    {"alone, delayed", "rpR", 2, "c", NULL, "", 1, false, true, false, NO_LIMIT, false},
    {"alone, delayed, ready", "rp", 2, "", NULL, "", 1, true, true, false, NO_LIMIT, false},
    {"alone, permanent", "rc", 2, "", NULL, "", 1, false, false, true, NO_LIMIT, false},
    {"terminated", "rweR", 1, "", NULL, "t", 1, false, false, false, NO_LIMIT, true},
    {"terminated, later", "r", 1, "p", NULL, "t", 1, false, false, false, NO_LIMIT, true},
    {"terminated, ready", "rp", 1, "", NULL, "t", 1, true, false, false, NO_LIMIT, true},
    {"terminated, delayed", "rp", 1, "r", NULL, "t", 1, false, true, false, NO_LIMIT, true},
    {"terminated, permanent", "rpc", 1, "", NULL, "t", 1, false, false, true, NO_LIMIT, true},
    {"terminated, restarted", "rp", 1, "", NULL, "tr", 1, false, false, false, NO_LIMIT, true},
    {"terminated, deleted", "rp", 1, "", NULL, "td", 1, false, false, false, NO_LIMIT, true},
    {"stopped", "rwpeR", 1, "", NULL, "x", 1, false, false, false, NO_LIMIT, true},
    {"restarted", "rpR", 1, "c", NULL, "r", 1, false, false, false, NO_LIMIT, true},
    {"hurried", "rp", 1, "rc", NULL, "h", 1, false, true, false, NO_LIMIT, true},
    {"made temporary", "rp", 1, "p", NULL, "T", 1, false, false, false, NO_LIMIT, true},
    {"given a delay", "rp", 1, "p", NULL, "D", 1, false, false, false, NO_LIMIT, true},
    {"relieved of a delay", "rp", 1, "r", NULL, "N", 1, false, true, false, NO_LIMIT, true},
    {"given arguments", "r", 1, "p", NULL, "A", 1, false, false, false, NO_LIMIT, true},
    {"given a limit", "rp", 1, "r", NULL, "1", 1, false, false, false, NO_LIMIT, true},
    {"relieved of a limit", "rp", 1, "r", NULL, "U", 1, false, false, false, 1, true},
    {"two", "rp", 1, "", "r", "", 0, false, false, false, NO_LIMIT, false},
    {"two, one declines", "R", 1, "", "r", "", 0, false, false, false, NO_LIMIT, true},
    {"two, one terminated", "r", 1, "u", "r", "t", 0, false, false, false, NO_LIMIT, true},
    {"two, stopped", "r", 1, "u", "r", "x", 0, false, false, false, NO_LIMIT, true},
    {"two, made a group", "rp", 1, "", "r", "G", 0, false, false, false, NO_LIMIT, true},
    {"two, at most one", "rp", 1, "", "r", "", 0, false, false, false, 1, true},
    {"two, at most two", "r", 1, "r", "r", "", 0, false, false, false, 2, true},
};

/*  ---- The choices of a run ---- */

#define CHOICES 1000

typedef struct {
    unsigned taken;
    unsigned count;
    uint64_t world;  /*  that it was made in, 0: in the middle of a turn              */
    uint64_t before; /*  orders that had been counted then                            */
} choice_t;

static choice_t choices[CHOICES];
static size_t choice_count;
static size_t choice_at;

/*  Worlds that have been gone through, and in how many orders they can go on. */
typedef struct {
    uint64_t world;
    uint64_t orders;
} seen_t;

static seen_t *seen;
static size_t seen_count, seen_room;
static uint64_t orders; /*  of the case, up to now                                   */
static uint64_t runs;

static seen_t *seen_place (uint64_t world)
{
    size_t at = world & (seen_room - 1);
    while (seen[at].world && seen[at].world != world)
        at = (at + 1) & (seen_room - 1);
    return &seen[at];
}

static void seen_grow (void)
{
    seen_t *old = seen;
    size_t old_room = seen_room;
    seen_room = seen_room ? seen_room * 2 : 4096;
    seen = calloc (seen_room, sizeof *seen);
    if (!seen)
        abort ();
    for (size_t i = 0; i < old_room; i++)
        if (old[i].world)
            *seen_place (old[i].world) = old[i];
    free (old);
}

static void seen_forget (void)
{
    free (seen);
    seen = NULL;
    seen_count = seen_room = 0;
    seen_grow ();
}

static seen_t *seen_add (uint64_t world)
{
    if (++seen_count * 2 > seen_room)
        seen_grow ();
    seen_t *place = seen_place (world);
    place->world = world;
    return place;
}

static unsigned choose_in (unsigned count, uint64_t world)
{
    if (choice_at == choice_count) {
        assert_true (choice_count < CHOICES);
        choices[choice_count++] = (choice_t){0, count, world, orders};
    }
    assert_int_equal (choices[choice_at].count, count);
    return choices[choice_at++].taken;
}

static bool is_new_choice (void)
{
    return choice_at == choice_count;
}

/*  Is there another order? */
static bool choose_next (void)
{
    choice_at = 0;
    while (choice_count > 0) {
        choice_t *last = &choices[choice_count - 1];
        if (++last->taken < last->count)
            return true;
        if (last->world)
            seen_place (last->world)->orders = orders - last->before;
        choice_count--;
    }
    return false;
}

/*  ---- The world ---- */

#define CHILDREN 2
#define CALLS 4
#define BOOK 4096

/*  At these times a component does what it does. */
#define BEGIN_US 1000000
#define STEP_US 1000
#define STEPS_US (4 * STEP_US)
#define DELAY_MS 20

/*  Time that passes by itself for a timer, while something else could happen, and how often; where there are
    two children it does not. */
#define SOON_US 25000
#define SOONEST 1
/*  And when nothing else can. No deadline is as near. */
#define LATER_US 1500000

/*  A text and its hash. */
typedef struct {
    char text[BOOK];
    size_t length;
    uint64_t hash;
} book_t;

typedef struct {
    resil__command_t command; /*  first: the core knows a call by it                    */
    bool answered;
    int error;
} call_t;

static const case_t *the_case;
static char scripts[CHILDREN][16];
static resil__spec_t *specs[CHILDREN];
static resil__tree_t tree;
static call_t calls[CALLS + 1]; /*  the last is spawn                                        */
static size_t calls_done;
static int64_t clock_us; /*  of the world; the supervisor's is that at its last turn  */
static int soon_count;
static int steps_left; /*  that threads may take in this turn                       */
static book_t told[CHILDREN + 1], done[CHILDREN];
static unsigned failures[CHILDREN], handled[CHILDREN];
static bool writes; /*  the books are to be read                                  */
static char trace[4 * CHOICES];
static size_t trace_length;

static char arguments[2];

static uint64_t mix (uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * UINT64_C (0x9e3779b97f4a7c15);
    return hash ^ hash >> 29;
}

static uint64_t mix_bytes (uint64_t hash, const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    for (; size >= sizeof (uint64_t); size -= sizeof (uint64_t), at += sizeof (uint64_t)) {
        uint64_t word;
        memcpy (&word, at, sizeof word);
        hash = mix (hash, word);
    }
    for (; size > 0; size--)
        hash = mix (hash, *at++);
    return hash;
}

static void book (book_t *self, const char *format, ...) RESIL_PRINTF (2, 3);
/*  What a book says, in numbers: most orders are gone through without that anybody reads it. */
static uint64_t mix_words (uint64_t hash, const char *format, va_list args)
{
    hash = mix (hash, (uintptr_t) format);
    while ((format = strchr (format, '%'))) {
        const char *text = format[1] == 's' ? va_arg (args, const char *) : NULL;
        hash = text ? mix_bytes (hash, text, strlen (text))
                    : mix (hash, (uint64_t) va_arg (args, int));
        format += 2;
    }
    return hash;
}

/*  Knows %d and %s. */
static void book (book_t *self, const char *format, ...)
{
    va_list args;
    va_start (args, format);
    self->hash = mix_words (self->hash, format, args);
    va_end (args);
    if (!writes)
        return;
    va_start (args, format);
    char *at = self->text + self->length;
    int length = vsnprintf (at, sizeof self->text - self->length, format, args);
    va_end (args);
    assert_true (length >= 0 && self->length + (size_t) length < sizeof self->text);
    self->length += (size_t) length;
}

static void note_step (char what, char whose)
{
    if (trace_length + 4 > sizeof trace)
        return;
    trace[trace_length++] = what;
    if (whose)
        trace[trace_length++] = whose;
    trace[trace_length++] = ' ';
    trace[trace_length] = 0;
}

static void go_there_again (void);

static void broken (const char *what)
{
    if (!writes)
        go_there_again ();
    fprintf (stderr, "case \"%s\", scripts \"%s\" and \"%s\", %s, steps %s\n", the_case->name,
             scripts[0], scripts[1], fake_asks ? "always asks" : "grants", trace);
    for (size_t i = 0; i < CHILDREN; i++)
        fprintf (stderr, "%s\n%s\n", told[i].text, done[i].text);
    fail_msg ("%s", what);
}

static void hold (bool holds, const char *what)
{
    if (!holds)
        broken (what);
}

int __wrap_epoll_ctl (int epoll, int what, int descriptor, struct epoll_event *event);
int __wrap_epoll_ctl (int epoll, int what, int descriptor, struct epoll_event *event)
{
    (void) epoll;
    (void) what;
    (void) descriptor;
    (void) event;
    return 0;
}

void __real_resil__loop_answer (resil__tree_t *the_tree, resil__command_t *command, int error,
                                const char *message);
void __wrap_resil__loop_answer (resil__tree_t *the_tree, resil__command_t *command, int error,
                                const char *message);
void __wrap_resil__loop_answer (resil__tree_t *the_tree, resil__command_t *command, int error,
                                const char *message)
{
    call_t *call = (call_t *) command;
    hold (!call->answered, "a call is answered twice");
    call->answered = true;
    call->error = error;
    __real_resil__loop_answer (the_tree, command, error, message);
}

/*  ---- What is told ---- */

static void book_error (book_t *self, const resil_error_t *error)
{
    if (error)
        book (self, " of %d/%d#%d@%d", (int) error->kind, error->code, (int) error->incarnation,
              (int) error->at_us);
}

static void book_event (book_t *self, const resil_event_t *event)
{
    book (self, "%s#%d", event->path + event->is_supervisor, (int) event->incarnation);
    if (event->kind != RESIL_EVENT_STATE)
        book (self, " %s", resil_event_kind_name (event->kind));
    else
        book (self, " %s-%s", resil_state_name (event->from), resil_state_name (event->to));
    if (event->is_done)
        book (self, " done");
    if (event->delay_ms >= 0)
        book (self, " in %d", (int) event->delay_ms);
    if (event->kind == RESIL_EVENT_ENDED)
        book (self, " %d", (int) event->reason);
    if (*event->by || event->commanded)
        book (self, " by %s%s", event->by, event->commanded ? "!" : "");
    book_error (self, event->error);
    book (self, "; ");
}

/*  The queue to the callback ends here. */
void __wrap_resil__outlet_put (resil__outlet_t *self, const void *record, size_t size);
void __wrap_resil__outlet_put (resil__outlet_t *self, const void *record, size_t size)
{
    (void) self;
    (void) size;
    static resil_error_t error;
    resil_event_t event;
    resil__event_unpack (record, &event, &error);
    /*  Of an event that is not about somebody's doing the time depends on the order. */
    book_event (&told[event.is_supervisor ? CHILDREN : (size_t) (event.path[3] - 'a')], &event);
}

/*  ---- The threads ---- */

static size_t number_of (const resil__runner_t *runner)
{
    return (size_t) (runner->spec->name[0] - 'a');
}

static char letter_of (const resil__runner_t *runner)
{
    const char *script = scripts[number_of (runner)];
    size_t length = strlen (script);
    return runner->incarnation <= length ? script[runner->incarnation - 1] : 'u';
}

/*  When incarnation n begins. The first restart is at once, also of one whose delays grow. */
static int64_t begin_us (const resil__runner_t *runner, uint64_t incarnation)
{
    int64_t n = (int64_t) incarnation - 1;
    int64_t delays = the_case->delays && n > 1 ? n - 1 : 0;
    return BEGIN_US + (int64_t) number_of (runner) * 100 + n * STEPS_US +
           delays * DELAY_MS * STEP_US;
}

/*  `step` of a runner. */
enum { AT_START, AT_WORK, AT_RETURN, AT_ACK };

/*  Whoever panics may have been told to return, and come to it or not. */
static bool heeds_cancel (const resil__runner_t *runner)
{
    return fake_is_cancelled (runner) && (letter_of (runner) != 'p' || choose_in (2, 0) == 0);
}

/*  Has it something to do? */
static bool can_step (const resil__runner_t *runner)
{
    if (!runner->child && runner->place != FAKE_FREEING)
        return false;
    switch (runner->place) {
    case FAKE_PARKED:
        return runner->taken != runner->sent;
    case FAKE_RUNNING:
        if (runner->step == AT_ACK)
            return runner->acked >= runner->incarnation;
        return runner->step == AT_RETURN || fake_is_cancelled (runner) ||
               letter_of (runner) != 'u' || (the_case->ready && runner->step == AT_START);
    case FAKE_HANDLING:
    case FAKE_SPENDING:
    case FAKE_GOING_ON:
    case FAKE_FREEING:
        return true;
    case FAKE_UNBORN:
    case FAKE_MAKING:
    case FAKE_SYNCING:
    case FAKE_GONE:
        break;
    }
    return false;
}

static void book_done (const resil__runner_t *runner, const char *what)
{
    book (&done[number_of (runner)], "%d%s %s; ", (int) runner->incarnation,
          runner->spec->args ? " with other arguments" : "", what);
}

static void work (resil__runner_t *runner)
{
    char letter = letter_of (runner);
    if (runner->step == AT_RETURN || runner->step == AT_ACK || heeds_cancel (runner)) {
        fake_returns (runner, 0, false);
        return;
    }
    if (runner->step == AT_START && the_case->ready && letter != 'q') {
        book_done (runner, "is ready");
        fake_says_ready (runner);
        runner->step = AT_WORK;
        return;
    }
    if (letter == 'c') {
        book_done (runner, "completes");
        fake_returns (runner, 0, false);
        return;
    }
    book_done (runner, "fails");
    failures[number_of (runner)]++;
    if (letter == 'p')
        fake_panics (runner);
    else if (letter == 'e' || letter == 'q')
        fake_returns (runner, 5, false);
    else {
        bool waits = letter == 'w' && !fake_may_go_on (runner);
        fake_reports (runner);
        runner->step = waits ? AT_ACK : AT_RETURN;
    }
}

/*  When it does what it does next; what it is told to, it does when it is told. */
static int64_t time_of_step (const resil__runner_t *runner)
{
    int64_t began_us = begin_us (runner, runner->incarnation);
    switch (runner->place) {
    case FAKE_PARKED:
        if (runner->messages[runner->taken % FAKE_MESSAGES].verb == FAKE_START)
            return begin_us (runner, runner->messages[runner->taken % FAKE_MESSAGES].number);
        return clock_us;
    case FAKE_RUNNING:
        return runner->step == AT_START && the_case->ready ? began_us + STEP_US
               : runner->step <= AT_WORK                   ? began_us + 2 * STEP_US
                                                           : began_us + 3 * STEP_US;
    case FAKE_HANDLING:
    case FAKE_SPENDING:
    case FAKE_GOING_ON:
        return began_us + STEPS_US;
    default:
        return clock_us;
    }
}

static void thread_step (resil__runner_t *runner)
{
    size_t number = number_of (runner);
    note_step ('T', runner->spec->name[0]);
    fake_now_us = time_of_step (runner);
    if (clock_us < fake_now_us)
        clock_us = fake_now_us;
    switch (runner->place) {
    case FAKE_PARKED:
        fake_receive (runner);
        break;
    case FAKE_RUNNING:
        work (runner);
        break;
    case FAKE_HANDLING:
        handled[number]++;
        book_done (runner, "is handled");
        fake_handler_returns (runner, letter_of (runner) == 'R');
        break;
    case FAKE_SPENDING:
        fake_has_spent (runner);
        break;
    case FAKE_GOING_ON:
        fake_goes_on (runner);
        break;
    case FAKE_FREEING:
        fake_args_freed (runner);
        break;
    case FAKE_UNBORN:
    case FAKE_MAKING:
    case FAKE_SYNCING:
    case FAKE_GONE:
        broken ("a step that is none");
    }
}

/*  In the middle of a turn: none, one or two. */
static void go_on_meanwhile (resil__runner_t *runner)
{
    for (int i = 0; i < 2 && steps_left > 0 && can_step (runner); i++) {
        if (choose_in (2, 0) == 0)
            return;
        steps_left--;
        note_step ('(', 0);
        thread_step (runner);
        note_step (')', 0);
    }
}

/*  ---- The supervisor ---- */

static bool is_a_child (const void *which)
{
    for (size_t i = 0; i < tree.root->child_count; i++)
        if (tree.root->children[i] == which)
            return true;
    return false;
}

static void turn_begins (void)
{
    tree.now_us = clock_us;
    steps_left = the_case->meanwhile;
    fake_meanwhile = go_on_meanwhile;
}

static void turn_ends (void)
{
    bool somebody_may_go = tree.forgotten || tree.news;
    resil__loop_conclude (&tree);
    if (somebody_may_go)
        fake_forget_children (is_a_child);
    fake_meanwhile = NULL;
}

static resil__spec_t *spec_of (char name, char change)
{
    const resil_delay_t delays = {DELAY_MS, DELAY_MS, 1.0, 0, RESIL_FOREVER};
    const resil_delay_t none = RESIL_DELAY_NONE;
    bool has_delay = change == 'D' || (the_case->delays && change != 'N');
    char text[2] = {name, 0};
    resil_spec_t spec = {RESIL_SPEC, .name = text,
                         .restart = change == 'T'            ? RESIL_TEMPORARY
                                    : the_case->is_permanent ? RESIL_PERMANENT
                                                             : RESIL_TRANSIENT,
                         .ready_required = the_case->ready,
                         .args = change == 'A' ? arguments : NULL};
    spec.delay = has_delay ? delays : none;
    resil__spec_t *self = resil__spec_new (&spec, &fake_type, &none);
    hold (self, "a spec is refused");
    return self;
}

static void call (call_t *self, char what)
{
    static const struct {
        char letter;
        resil__verb_t verb;
    } verbs[] = {{'s', RESIL__SPAWN},      {'t', RESIL__TERMINATE},   {'r', RESIL__RESTART_CHILD},
                 {'h', RESIL__HURRY},      {'d', RESIL__DELETE},      {'x', RESIL__STOP_ALL},
                 {'T', RESIL__SET_SPEC},   {'D', RESIL__SET_SPEC},    {'N', RESIL__SET_SPEC},
                 {'A', RESIL__SET_SPEC},   {'1', RESIL__SET_OPTIONS}, {'U', RESIL__SET_OPTIONS},
                 {'G', RESIL__SET_OPTIONS}};
    size_t at = 0;
    while (verbs[at].letter != what)
        at++;
    resil_supervisor_options_t options = tree.root->options;
    options.max_restarts = what == '1' ? 1 : RESIL_UNLIMITED;
    options.strategy = what == 'G' ? RESIL_ONE_FOR_ALL : RESIL_ONE_FOR_ONE;
    *self = (call_t){
        .command = {
            .supervisor = tree.root, .verb = verbs[at].verb, .name = "a", .options = &options}};
    if (verbs[at].verb == RESIL__SET_SPEC)
        self->command.spec = spec_of ('a', what);
    note_step (what, 0);
    turn_begins ();
    tree.author = &resil__program;
    resil__admin_execute (tree.root, &self->command);
    tree.author = NULL;
    turn_ends ();
    resil__spec_release (&self->command.spec);
}

/*  ---- A world's beginning and end ---- */

static void begin_world (void)
{
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    options.max_restarts = the_case->max_restarts;
    options.name = "r";
    tree = (resil__tree_t){.wake_fd = -1, .epoll_fd = -1, .end_fd = -1};
    pthread_mutex_init (&tree.lock, NULL);
    pthread_cond_init (&tree.changed, NULL);
    resil_supervisor_t *root = calloc (1, sizeof *root);
    if (!root || resil__heap_reserve (&tree.heap, 4) ||
        resil__limit_init (&root->limit, options.max_restarts, options.window_ms))
        abort ();
    strcpy (root->name, "r");
    root->path = strdup ("/r");
    root->options = options;
    root->random.state = 1;
    root->group_timer.due_us = RESIL__NEVER;
    tree.root = root;
    resil__family_join (&tree, root);
    tree.events.calls = true;
    for (size_t i = 0; i <= CHILDREN; i++)
        told[i].length = told[i].hash = told[i].text[0] = 0;
    for (size_t i = 0; i < CHILDREN; i++)
        done[i].length = done[i].hash = done[i].text[0] = failures[i] = handled[i] = 0;
    memset (calls, 0, sizeof calls);
    calls_done = trace_length = 0;
    soon_count = 0;
    clock_us = tree.now_us = fake_now_us = BEGIN_US;
    for (size_t i = 0; i < CHILDREN; i++)
        if (specs[i] && !resil__family_add (root, resil__spec_retain (specs[i]), NULL))
            abort ();
    call (&calls[CALLS], 's');
}

/*  However far it has come. */
static void end_world (void)
{
    for (resil__runner_t *runner = fake_all; runner; runner = runner->next) {
        runner->place = FAKE_GONE;
        runner->buried = true;
    }
    tree.root->stage = RESIL__ENDED;
    resil__loop_clear_up (&tree);
    resil__limit_release (&tree.root->limit);
    resil__author_set (&tree.root->author, NULL);
    resil__author_set (&tree.root->group_author, NULL);
    resil__failures_release (&tree.root->failures);
    resil__index_release (&tree.root->names);
    free (tree.root->children);
    free (tree.root->path);
    free (tree.root);
    resil__heap_release (&tree.heap);
    free (tree.hung);
    free (tree.gone);
    pthread_cond_destroy (&tree.changed);
    pthread_mutex_destroy (&tree.lock);
    fake_clear_up ();
}

/*  ---- What a world is like ---- */

/*  Pointers say nothing, but whether they are there. */
#define BLANK(pointer) ((pointer) = (pointer) ? (void *) 1 : NULL)

static uint64_t mix_error (uint64_t hash, const resil_error_t *error)
{
    hash = mix (hash, (uint64_t) error->kind << 32 | (unsigned) error->code);
    hash = mix (hash, error->incarnation);
    return mix (hash, (uint64_t) error->at_us);
}

static uint64_t mix_story (uint64_t hash, const resil__failures_t *story)
{
    hash = mix (hash, (uint64_t) story->ever << 1 | story->is_open);
    for (unsigned i = 0; i < story->count; i++) {
        const resil__failure_t *entry = story->ring[i];
        hash = mix_error (hash, (const resil_error_t *) (entry + 1));
        hash = mix (hash, (uint64_t) entry->then << 2 | entry->declined << 1 | entry->quarantined);
        hash = mix (hash, (uint64_t) entry->delay_ms);
        hash = mix (hash, entry->author != NULL);
        hash = mix_bytes (hash, entry->why, strlen (entry->why));
    }
    return hash;
}

static uint64_t mix_child (uint64_t hash, const resil__child_t *child)
{
    static resil__child_t bare;
    bare = *child;
    bare.supervisor = NULL;
    bare.spec = NULL;
    bare.by_name.next = NULL;
    bare.mailbox = NULL;
    bare.timer.fire = NULL;
    bare.dossier = NULL;
    BLANK (bare.runner);
    BLANK (bare.waiter);
    BLANK (bare.stoppers);
    BLANK (bare.author);
    hash = mix_bytes (hash, &bare, sizeof bare);
    hash = mix_error (hash, resil__child_error (child));
    hash = mix (hash, child->spec->args != NULL);
    hash = mix (hash, (uint64_t) child->spec->is->restart << 32 |
                          (unsigned) child->spec->is->delay.initial_ms);
    hash = mix (hash, resil__dossier_of (child)->restarts);
    return mix_story (hash, &resil__dossier_of (child)->failures);
}

static uint64_t mix_root (uint64_t hash, const resil_supervisor_t *root)
{
    static resil_supervisor_t bare;
    bare = *root;
    bare.path = NULL;
    bare.tree = NULL;
    bare.children = NULL;
    bare.names.chains = NULL;
    bare.office.path = NULL;
    bare.limit.taken_at_us = NULL;
    bare.limit.tokens = NULL;
    bare.options.name = NULL;
    bare.failures.ring = NULL;
    bare.group_timer.fire = bare.limit_timer.fire = NULL;
    memset (&bare.error, 0, sizeof bare.error);
    BLANK (bare.coming);
    BLANK (bare.spawner);
    BLANK (bare.author);
    BLANK (bare.group_author);
    hash = mix_bytes (hash, &bare, sizeof bare);
    hash = mix_error (hash, &root->error);
    hash = mix (hash, (uint64_t) atomic_load (&root->limit.tokens->left));
    hash = mix (hash, (uint64_t) atomic_load (&root->limit.tokens->from_us));
    for (size_t i = 0; i < root->limit.count; i++)
        hash = mix (hash, (uint64_t) root->limit.taken_at_us[i]);
    hash = mix_story (hash, &root->failures);
    for (size_t i = 0; i < root->child_count; i++)
        hash = mix_child (hash, root->children[i]);
    return hash;
}

static uint64_t mix_outbox (uint64_t hash, const resil__outbox_t *outbox)
{
    for (size_t at = outbox->read; at != outbox->written;) {
        resil__record_t record;
        memcpy (&record, outbox->bytes + resil__outbox_place (outbox, at), sizeof record);
        hash = mix_bytes (hash, &record, sizeof record);
        at += record.size;
    }
    return hash;
}

static uint64_t mix_runner (uint64_t hash, const resil__runner_t *runner)
{
    static resil__runner_t bare;
    memcpy (&bare, runner, sizeof bare);
    bare.spec = NULL;
    bare.ledger = NULL;
    bare.next = NULL;
    bare.tokens = NULL;
    BLANK (bare.child);
    memset (&bare.error, 0, sizeof bare.error);
    memset (&bare.to_handle, 0, sizeof bare.to_handle);
    memset (&bare.raw_error, 0, sizeof bare.raw_error);
    memset (&bare.outbox, 0, sizeof bare.outbox);
    hash = mix_bytes (hash, &bare, sizeof bare);
    hash = mix_error (hash, &runner->error);
    hash = mix_error (hash, &runner->to_handle);
    hash = mix (hash, runner->spec->args != NULL);
    hash = mix (hash, runner->ledger->begun << 32 | runner->ledger->handled);
    hash = mix (hash, runner->ledger->running == runner);
    return mix_outbox (hash, &runner->outbox);
}

static uint64_t world_now (void)
{
    uint64_t hash = mix (mix (1, (uint64_t) clock_us), (uint64_t) tree.now_us);
    hash = mix (hash, calls_done << 8 | (unsigned) soon_count << 4 | tree.look_again);
    hash = mix (hash, tree.gone_count);
    for (size_t i = 0; i <= CALLS; i++)
        hash = mix (hash, (uint64_t) calls[i].error << 1 | calls[i].answered);
    hash = mix_root (hash, tree.root);
    for (resil__runner_t *runner = fake_all; runner; runner = runner->next)
        hash = mix_runner (hash, runner);
    for (size_t i = 1; i <= tree.heap.count; i++)
        hash = mix (hash, (uint64_t) tree.heap.timers[i]->due_us);
    for (size_t i = 0; i <= CHILDREN; i++)
        hash = mix (hash, told[i].hash);
    for (size_t i = 0; i < CHILDREN; i++)
        hash = mix (hash, done[i].hash);
    return hash ? hash : 1;
}

/*  ---- The books ---- */

static void book_story (book_t *self, const resil__failures_t *story)
{
    book (self, " %d failures", (int) story->ever);
    for (unsigned i = 0; i < story->count; i++) {
        const resil__failure_t *entry =
            story->ring[(story->next + RESIL_FAILURES_MAX - story->count + i) % RESIL_FAILURES_MAX];
        book_error (self, (const resil_error_t *) (entry + 1));
        book (self, " %s in %d, %s%s%s, by %s", resil_then_name (entry->then),
              (int) entry->delay_ms, entry->why, entry->declined ? ", declined" : "",
              entry->quarantined ? ", quarantined" : "", resil__author_name (entry->author, ""));
    }
}

static void book_child (book_t *self, const resil__child_t *child)
{
    book (self, "\n    %s#%d %s%s, %d restarts, %d attempts, last delay %d", child->spec->name,
          (int) child->incarnation, resil__phase_name (child->phase), child->done ? ", done" : "",
          (int) resil__dossier_of (child)->restarts, (int) child->backoff.attempts,
          (int) child->backoff.base_ms);
    book_error (self, resil__child_error (child));
    book_story (self, &resil__dossier_of (child)->failures);
}

static void book_book (book_t *self, const char *what, const book_t *other)
{
    book (self, "\n    %s: %s", what, other->text);
    self->hash = mix (self->hash, other->hash);
}

static const book_t *books (void)
{
    static book_t self;
    const resil_supervisor_t *root = tree.root;
    self.length = self.hash = self.text[0] = 0;
    book (&self, "    stage %d, reason %d, \"%s\", %d restarts count", (int) root->stage,
          (int) root->reason, root->error_component,
          (int) resil__limit_used (&root->limit, BEGIN_US));
    if (root->has_error)
        book_error (&self, &root->error);
    book_story (&self, &root->failures);
    for (size_t i = 0; i < root->child_count; i++)
        book_child (&self, root->children[i]);
    for (size_t i = 0; i <= CHILDREN; i++)
        book_book (&self, "told", &told[i]);
    for (size_t i = 0; i < CHILDREN; i++)
        book_book (&self, "done", &done[i]);
    for (const resil__runner_t *runner = fake_all; runner; runner = runner->next)
        if (runner->place == FAKE_RUNNING)
            book (&self, "\n    %s#%d runs%s", runner->spec->name, (int) runner->incarnation,
                  runner->spec->args ? " with other arguments" : "");
    for (size_t i = 0; i <= CALLS; i++)
        if (calls[i].command.supervisor)
            book (&self, "\n    call %d: %s", (int) calls[i].command.verb,
                  strerror (calls[i].error));
    return &self;
}

/*  What must hold of every end. */
static void check_end (void)
{
    const resil_supervisor_t *root = tree.root;
    hold (root->stage == RESIL__RUNNING || root->stage == RESIL__ENDED,
          "the supervisor does not come to rest");
    for (size_t i = 0; i < root->child_count; i++) {
        const resil__child_t *child = root->children[i];
        size_t number = (size_t) (child->spec->name[0] - 'a');
        hold (child->phase == RESIL__UP || child->phase == RESIL__DOWN,
              "a child does not come to rest");
        hold (resil__dossier_of (child)->failures.ever == failures[number],
              "not each failure is judged once");
        hold (!child->runner || child->runner->incarnation == child->incarnation,
              "the supervisor is not where the runner is");
    }
    for (size_t i = 0; i < CHILDREN; i++)
        hold (failures[i] == handled[i], "not each failure has its handler called");
    for (resil__runner_t *runner = fake_all; runner; runner = runner->next)
        hold (!runner->child || runner->outbox.read == runner->outbox.written,
              "a record is not found");
    for (size_t i = 0; i <= CALLS; i++)
        hold (!calls[i].command.supervisor || calls[i].answered, "a call is not answered");
}

/*  ---- One order ---- */

typedef enum { A_THREAD, A_BELL, A_LOOK, TIMERS, TIME, A_CALL } what_t;

typedef struct {
    what_t what;
    resil__runner_t *runner;
} step_t;

static int64_t until_timer_us (void)
{
    resil__timer_t *timer = resil__heap_first (&tree.heap);
    return timer ? timer->due_us - clock_us : RESIL__NEVER;
}

static bool is_gone (const resil__runner_t *runner)
{
    for (size_t i = 0; i < tree.gone_count; i++)
        if (tree.gone[i] == runner)
            return true;
    return false;
}

static unsigned list_steps (step_t steps[16])
{
    unsigned count = 0;
    int64_t until_us = until_timer_us ();
    for (resil__runner_t *runner = fake_all; runner; runner = runner->next) {
        if (can_step (runner))
            steps[count++] = (step_t){A_THREAD, runner};
        if (runner->rang && !is_gone (runner))
            steps[count++] = (step_t){A_BELL, runner};
    }
    if (tree.look_again)
        steps[count++] = (step_t){A_LOOK, NULL};
    if (until_us <= 0)
        steps[count++] = (step_t){TIMERS, NULL};
    else if (until_us <= SOON_US && soon_count < SOONEST && !the_case->other)
        steps[count++] = (step_t){TIME, NULL};
    if (the_case->calls[calls_done])
        steps[count++] = (step_t){A_CALL, NULL};
    if (count == 0 && until_us <= LATER_US)
        steps[count++] = (step_t){TIME, NULL};
    return count;
}

static void take_step (const step_t *step)
{
    switch (step->what) {
    case A_THREAD:
        thread_step (step->runner);
        break;
    case A_BELL:
        note_step ('S', step->runner->spec->name[0]);
        turn_begins ();
        resil__loop_serve (&tree, step->runner);
        turn_ends ();
        break;
    case A_LOOK:
        note_step ('L', 0);
        turn_begins ();
        resil__loop_serve_again (&tree);
        turn_ends ();
        break;
    case TIME:
        soon_count++;
        clock_us += until_timer_us ();
        note_step ('+', 0);
        /*  fallthrough */
    case TIMERS:
        note_step ('D', 0);
        turn_begins ();
        resil__loop_take_timers (&tree);
        turn_ends ();
        break;
    case A_CALL:
        call (&calls[calls_done], the_case->calls[calls_done]);
        calls_done++;
        break;
    }
}

/*  To the end, or to a world that has been gone through. In how many orders it can go on. */
static uint64_t run_on (bool *at_end)
{
    step_t steps[16];
    unsigned count;
    while ((count = list_steps (steps)) > 0) {
        unsigned which = 0;
        uint64_t world = 0;
        hold (trace_length < 3 * CHOICES, "it does not come to an end");
        if (count > 1 && is_new_choice ()) {
            world = world_now ();
            const seen_t *place = seen_place (world);
            if (place->world)
                return place->orders;
            seen_add (world);
        }
        if (count > 1)
            which = choose_in (count, world);
        take_step (&steps[which]);
    }
    *at_end = true;
    return 1;
}

/*  To what does not hold, with books that can be read. */
static void go_there_again (void)
{
    bool at_end = false;
    writes = true;
    fake_all = NULL;
    fake_ledgers = NULL;
    choice_count = choice_at;
    choice_at = 0;
    begin_world ();
    run_on (&at_end);
    check_end ();
}

/*  ---- All orders ---- */

typedef struct {
    uint64_t hash;
    choice_t *choices; /*  that lead there                                          */
    size_t count;
} outcome_t;

typedef struct {
    outcome_t *outcomes;
    size_t count, room;
} outcomes_t;

static const outcome_t *outcomes_find (const outcomes_t *self, uint64_t hash)
{
    for (size_t i = 0; i < self->count; i++)
        if (self->outcomes[i].hash == hash)
            return &self->outcomes[i];
    return NULL;
}

static void outcomes_add (outcomes_t *self, uint64_t hash)
{
    if (outcomes_find (self, hash))
        return;
    if (self->count == self->room) {
        self->room = self->room ? self->room * 2 : 16;
        self->outcomes = realloc (self->outcomes, self->room * sizeof *self->outcomes);
    }
    outcome_t *new = &self->outcomes[self->count++];
    *new = (outcome_t){hash, malloc (sizeof choices), choice_count};
    memcpy (new->choices, choices, choice_count * sizeof *choices);
}

static void outcomes_release (outcomes_t *self)
{
    for (size_t i = 0; i < self->count; i++)
        free (self->outcomes[i].choices);
    free (self->outcomes);
    *self = (outcomes_t){0};
}

static outcomes_t drive_all (bool asks)
{
    outcomes_t found = {0};
    fake_asks = asks;
    fake_is_born_at_once = true;
    choice_count = 0;
    seen_forget ();
    do {
        bool at_end = false;
        choice_at = 0;
        begin_world ();
        orders += run_on (&at_end);
        runs++;
        if (at_end) {
            check_end ();
            outcomes_add (&found, books ()->hash);
        }
        end_world ();
    } while (choose_next ());
    return found;
}

/*  ---- The comparison ---- */

/*  Once more, to be read. */
static void print_outcome (const outcome_t *outcome, bool asks)
{
    bool at_end = false;
    fake_asks = asks;
    fake_is_born_at_once = true;
    writes = true;
    memcpy (choices, outcome->choices, outcome->count * sizeof *choices);
    choice_count = outcome->count;
    choice_at = 0;
    begin_world ();
    run_on (&at_end);
    fprintf (stderr, "%s, after %s\n%s\n", asks ? "asking" : "with a grant", trace, books ()->text);
    end_world ();
    writes = false;
}

static void differs (const outcomes_t *asking, const char *what)
{
    fprintf (stderr, "case \"%s\", scripts \"%s\" and \"%s\"\n", the_case->name, scripts[0],
             scripts[1]);
    for (size_t i = 0; i < asking->count && i < 4; i++)
        print_outcome (&asking->outcomes[i], true);
    fail_msg ("%s", what);
}

static void compare (const outcomes_t *granted, const outcomes_t *asking)
{
    for (size_t i = 0; i < granted->count; i++)
        if (!outcomes_find (asking, granted->outcomes[i].hash)) {
            print_outcome (&granted->outcomes[i], false);
            differs (asking, "what comes of a grant can not come of asking");
        }
    if (!the_case->may_race && asking->count != 1)
        differs (asking, "there is no call, and more than one outcome");
}

static void drive_scripts (bool shows)
{
    specs[0] = spec_of ('a', 0);
    specs[1] = the_case->other ? spec_of ('b', 0) : NULL;
    strcpy (scripts[1], the_case->other ? the_case->other : "");
    outcomes_t asking = drive_all (true);
    outcomes_t granted = drive_all (false);
    compare (&granted, &asking);
    if (shows)
        printf ("    %-8s %zu outcomes, asking %zu\n", scripts[0], granted.count, asking.count);
    outcomes_release (&asking);
    outcomes_release (&granted);
    for (size_t i = 0; i < CHILDREN; i++)
        if (specs[i])
            resil__spec_release (&specs[i]);
}

/*  Every script of a. */
static void drive_case (bool shows)
{
    size_t letters = strlen (the_case->letters), variants = 1;
    for (int i = 0; i < the_case->length; i++)
        variants *= letters;
    for (size_t variant = 0; variant < variants; variant++) {
        size_t rest = variant;
        for (int i = 0; i < the_case->length; i++, rest /= letters)
            scripts[0][i] = the_case->letters[rest % letters];
        strcpy (scripts[0] + the_case->length, the_case->tail);
        drive_scripts (shows);
    }
}

static void the_books_are_the_same_with_grants_and_without (void **state)
{
    (void) state;
    const char *only = getenv ("CASE");
    bool shows = getenv ("SHOW");
    uint64_t all_orders = 0, all_runs = 0;
    fake_broken = broken;
    for (size_t i = 0; i < sizeof cases_of_grants / sizeof *cases_of_grants; i++) {
        the_case = &cases_of_grants[i];
        if (only && !strstr (the_case->name, only))
            continue;
        int64_t from_us = resil__now_us ();
        orders = runs = 0;
        drive_case (shows);
        printf ("%-24s %14llu orders in %8llu runs, %6lld ms\n", the_case->name,
                (unsigned long long) orders, (unsigned long long) runs,
                (long long) (resil__now_us () - from_us) / 1000);
        fflush (stdout);
        all_orders += orders;
        all_runs += runs;
    }
    printf ("%llu orders in %llu runs\n", (unsigned long long) all_orders,
            (unsigned long long) all_runs);
    free (seen);
    seen = NULL;
    seen_count = seen_room = 0;
}

/*  ---- By hand: a deadline passes while a runner uses its leave ---- */

static resil__child_t *begin_by_hand (void)
{
    static const case_t by_hand = {.name = "by hand", .calls = "", .max_restarts = NO_LIMIT};
    the_case = &by_hand;
    fake_broken = broken;
    fake_asks = false;
    writes = true;
    strcpy (scripts[0], "r");
    specs[0] = spec_of ('a', 0);
    begin_world ();
    return tree.root->children[0];
}

static void end_by_hand (void)
{
    end_world ();
    resil__spec_release (&specs[0]);
    writes = false;
}

static void let_time_be (int64_t at_us)
{
    clock_us = at_us;
    take_step (&(step_t){TIMERS, NULL});
}

/*  It has failed and returned, which its supervisor has found out by a look, and its handler runs. */
static resil__runner_t *have_handler_run (const resil__child_t *child)
{
    resil__runner_t *runner = child->runner;
    thread_step (runner);
    take_step (&(step_t){A_BELL, runner});
    assert_int_equal (runner->permit, RESIL__PERMIT_STANDING);
    thread_step (runner);
    thread_step (runner);
    take_step (&(step_t){A_BELL, runner});
    let_time_be (child->timer.due_us);
    assert_int_equal (child->phase, RESIL__HANDLING);
    assert_int_equal (runner->place, FAKE_HANDLING);
    return runner;
}

static void who_goes_on_at_its_deadline_is_not_late (void **state)
{
    (void) state;
    const resil__child_t *child = begin_by_hand ();
    resil__runner_t *runner = have_handler_run (child);
    thread_step (runner);
    assert_int_equal (runner->place, FAKE_SPENDING);
    let_time_be (child->deadline_us);
    assert_ptr_equal (child->runner, runner);
    assert_int_equal (child->phase, RESIL__HANDLING);
    assert_true (child->deadline_us > clock_us && child->timer.due_us == child->deadline_us);
    let_time_be (child->deadline_us); /*  it has not come on yet                          */
    assert_ptr_equal (child->runner, runner);
    thread_step (runner);
    thread_step (runner);
    let_time_be (child->timer.due_us);
    assert_int_equal (child->phase, RESIL__UP);
    assert_int_equal (child->incarnation, 2);
    assert_int_equal (tree.hung_count, 0);
    end_by_hand ();
}

static void whose_handler_runs_at_its_deadline_is_late (void **state)
{
    (void) state;
    const resil__child_t *child = begin_by_hand ();
    resil__runner_t *runner = have_handler_run (child);
    let_time_be (child->deadline_us - 1);
    assert_ptr_equal (child->runner, runner);
    let_time_be (child->deadline_us);
    assert_null (child->runner);
    assert_int_equal (tree.hung_count, 1);
    assert_int_equal (tree.root->reason, RESIL_ENDED_ESCALATED);
    end_by_hand ();
}

static int set_up (void **state)
{
    int rc = support_setup (state);
    resil_log_level (RESIL_LOG_SILENT);
    return rc;
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        support_case (the_books_are_the_same_with_grants_and_without),
        support_case (who_goes_on_at_its_deadline_is_not_late),
        support_case (whose_handler_runs_at_its_deadline_is_late),
    };
    return cmocka_run_group_tests (cases, set_up, support_teardown);
}
