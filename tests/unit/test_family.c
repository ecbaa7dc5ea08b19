/*  The supervision core, without thread, socket and clock: trees of supervisors over fake runners. A
    random run does to the core and to a naive model of it the same things, and wants the same
    to come of them: who runs, who waits and until when, who is told to start and to stop in
    which order, how many restarts count, what ends and why, and what each call is answered.

    SEED=n repeats the run that printed it; STEPS=n makes it as long as wanted.

    ctest timeout: 180
    ctest link: -Wl,--wrap=epoll_ctl,--wrap=resil__loop_answer,--wrap=resil__lifecycle_step

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "family_model.h"
#include "fake_runner.h"
#include "foundation/clock.h"
#include "foundation/random.h"
#include "supervisor/snapshot.h"
#include "supervisor/state.h"

/*  ---- What has happened, for the reader of a failure ---- */

#define NOTES 4000
#define NOTE_SIZE 160

static char notes[NOTES][NOTE_SIZE];
static size_t note_count;

static void note (const char *format, ...) RESIL_PRINTF (1, 2);
static void note (const char *format, ...)
{
    va_list args;
    va_start (args, format);
    vsnprintf (notes[note_count++ % NOTES], NOTE_SIZE, format, args);
    va_end (args);
}

static uint64_t world_seed;

static void print_notes (void)
{
    size_t from = note_count > NOTES ? note_count - NOTES : 0;
    for (size_t i = from; i < note_count; i++)
        fprintf (stderr, "    %s\n", notes[i % NOTES]);
    fprintf (stderr, "SEED=%llu repeats this, after %zu lines\n", (unsigned long long) world_seed,
             note_count);
}

static void broken (const char *what)
{
    print_notes ();
    fail_msg ("%s", what);
}

static void hold (bool holds, const char *what)
{
    if (!holds)
        broken (what);
}

/*  ---- The core's surroundings ---- */

static resil__tree_t tree;
static resil_supervisor_t *nodes[MODEL_SUPERVISORS];
static size_t node_count;

int __wrap_epoll_ctl (int epoll, int what, int descriptor, struct epoll_event *event);
int __wrap_epoll_ctl (int epoll, int what, int descriptor, struct epoll_event *event)
{
    (void) epoll;
    (void) what;
    (void) descriptor;
    (void) event;
    return 0;
}

static bool visited[RESIL__PHASES][RESIL__EVENTS];

resil__step_t __real_resil__lifecycle_step (resil__phase_t phase, resil__event_t event);
resil__step_t __wrap_resil__lifecycle_step (resil__phase_t phase, resil__event_t event);
resil__step_t __wrap_resil__lifecycle_step (resil__phase_t phase, resil__event_t event)
{
    visited[phase][event] = true;
    note ("        core: %s, %s", resil__phase_name (phase), resil__event_name (event));
    return __real_resil__lifecycle_step (phase, event);
}

/*  A call that waits for its answer. */
typedef struct {
    resil__command_t command; /*  first: the core knows a call by it                       */
    char name[RESIL_NAME_MAX + 1];
    resil_supervisor_options_t options;
    bool in_use;
    bool answered;
    int error;
    model_call_t expected;
} call_t;

#define CALLS 64
static call_t calls[CALLS];

void __real_resil__loop_answer (resil__tree_t *the_tree, resil__command_t *command, int error,
                                const char *message);
void __wrap_resil__loop_answer (resil__tree_t *the_tree, resil__command_t *command, int error,
                                const char *message);
void __wrap_resil__loop_answer (resil__tree_t *the_tree, resil__command_t *command, int error,
                                const char *message)
{
    call_t *call = (call_t *) command;
    hold (call->in_use && !call->answered, "a call is answered twice");
    call->answered = true;
    call->error = error;
    __real_resil__loop_answer (the_tree, command, error, message);
}

static call_t *new_call (resil_supervisor_t *supervisor, resil__verb_t verb, const char *name)
{
    for (size_t i = 0; i < CALLS; i++)
        if (!calls[i].in_use) {
            calls[i] = (call_t){.in_use = true};
            snprintf (calls[i].name, sizeof calls[i].name, "%s", name);
            calls[i].command =
                (resil__command_t){.supervisor = supervisor, .verb = verb, .name = calls[i].name};
            return &calls[i];
        }
    broken ("more calls wait than can be");
    return NULL;
}

static resil_supervisor_t *node_new (const resil_supervisor_options_t *options, const char *name,
                                     const resil_supervisor_t *above)
{
    resil_supervisor_t *self = calloc (1, sizeof *self);
    if (!self || asprintf (&self->path, "%s/%s", above ? above->path : "", name) < 0)
        abort ();
    strcpy (self->name, name);
    self->options = *options;
    self->options.name = self->name;
    self->level = above ? above->level + 1 : 0;
    self->random.state = 1;
    self->group_timer.due_us = self->limit_timer.due_us = RESIL__NEVER;
    if (resil__limit_init (&self->limit, options->max_restarts, options->window_ms))
        abort ();
    self->tree = &tree;
    return self;
}

static void node_free (resil_supervisor_t *self)
{
    for (size_t i = 0; i < self->static_count; i++)
        resil__spec_release (&self->statics[i].spec);
    resil__limit_release (&self->limit);
    resil__author_set (&self->author, NULL);
    resil__author_set (&self->group_author, NULL);
    resil__failures_release (&self->failures);
    resil__index_release (&self->names);
    free (self->statics);
    free (self->children);
    free (self->path);
    free (self);
}

static void set_time (int64_t now_us)
{
    tree.now_us = fake_now_us = model.now_us = now_us;
}

static void tree_begin (const resil_supervisor_options_t *options)
{
    note_count = 0;
    node_count = 0;
    tree = (resil__tree_t){.wake_fd = -1, .epoll_fd = -1, .end_fd = -1};
    pthread_mutex_init (&tree.lock, NULL);
    pthread_cond_init (&tree.changed, NULL);
    if (resil__heap_reserve (&tree.heap, 4))
        abort ();
    set_time (1000000);
    tree.root = nodes[node_count++] = node_new (options, "r", NULL);
    resil__family_join (&tree, tree.root);
}

static void tree_end (void)
{
    resil__loop_clear_up (&tree);
    while (tree.supervisors) {
        resil_supervisor_t *next = tree.supervisors->next;
        node_free (tree.supervisors);
        tree.supervisors = next;
    }
    resil__heap_release (&tree.heap);
    free (tree.hung);
    free (tree.gone);
    pthread_cond_destroy (&tree.changed);
    pthread_mutex_destroy (&tree.lock);
    fake_clear_up ();
}

/*  ---- Specs ---- */

/*  For who answers at once or never: no deadline leaves any time. */
/*  What it says, as it can be changed before it goes into another one. */
static resil_spec_t said_by (const resil__spec_t *spec)
{
    resil_spec_t said = *spec->is;
    said.name = spec->name;
    said.args = spec->args;
    return said;
}

/*  In place of that: what it says now, checked by nobody. */
static resil__spec_t *spec_instead (resil__spec_t *old, const resil_spec_t *says,
                                    const resil_type_t *type)
{
    resil__spec_t *self = resil__spec_copy (says, type, NULL);
    if (!self)
        abort ();
    resil__spec_release (&old);
    return self;
}

static resil__spec_t *spec_of (const char *name, const model_policy_t *policy, bool is_subtree)
{
    static char arguments[3];
    resil_spec_t spec = {RESIL_SPEC,
                         .name = name,
                         .restart = policy->restart,
                         .ready_required = !plan_is_quick (name),
                         .args_shared = policy->args_shared,
                         .args = policy->args ? &arguments[policy->args] : NULL,
                         .significant = plan_is_significant (name)};
    resil_spec_t below = {RESIL_SUBTREE, .name = name, .restart = policy->restart,
                          .significant = plan_is_significant (name)};
    spec.delay = below.delay = policy->delay;
    resil__spec_t *self = is_subtree ? resil__spec_new_subtree (&below, &policy->delay)
                                     : resil__spec_new (&spec, &fake_type, &policy->delay);
    if (!self)
        broken (resil_errmsg ());
    if (is_subtree)
        return self;
    resil_spec_t says = said_by (self);
    says.start_ms = says.handler_ms = says.shutdown_ms = 0;
    return spec_instead (self, &says, resil__spec_type (self));
}

/*  ---- Threads that do as planned ---- */

static model_told_t told[MODEL_TOLD];
static size_t told_count;

static const char *path_of (const resil__runner_t *runner)
{
    static char path[256];
    const resil__child_t *child = runner->child;
    snprintf (path, sizeof path, "%s/%s", child->supervisor->path, child->spec->name);
    return path;
}

static void note_told (const resil__runner_t *runner, char what)
{
    const resil__child_t *child = runner->child;
    if (!child || told_count == MODEL_TOLD)
        return;
    model_told_t *entry = &told[told_count++];
    *entry = (model_told_t){.what = what, .incarnation = runner->incarnation};
    snprintf (entry->path, sizeof entry->path, "%.*s", MODEL_PATH - 1, path_of (runner));
    note ("        core: %c%s#%d", what, entry->path, (int) entry->incarnation);
}

/*  What the test has a component do. */
typedef enum { NO_ORDER, TO_FAIL, TO_FAIL_AND_HANG, TO_COMPLETE } order_t;
static resil__runner_t *ordered;
static order_t order;

/*  Where a component is in what it does: `step` of its runner. */
enum { AT_START, AT_WORK, AT_FAILURE, AT_ITS_ACK, AT_ITS_ACK_FOR_EVER };

/*  One of the ways to fail. False: it waits. */
static bool fail_step (resil__runner_t *runner, unsigned style)
{
    if (runner->step == AT_ITS_ACK_FOR_EVER)
        return false;
    if (runner->step == AT_ITS_ACK) {
        bool waits = style / 4 % 2;
        if (waits && runner->acked != runner->incarnation)
            return false;
        fake_returns (runner, (int) (style / 8 % 2), false);
        return true;
    }
    bool hangs = runner->step == AT_FAILURE && order == TO_FAIL_AND_HANG && ordered == runner;
    runner->step = hangs ? AT_ITS_ACK_FOR_EVER : AT_ITS_ACK;
    if (style % 4 == 1)
        fake_sends_raw (runner, RESIL__RAW_REPORT);
    else if (style % 4 == 0 || hangs || fake_is_cancelled (runner))
        fake_reports (runner);
    else if (style % 4 == 2)
        fake_panics (runner);
    else
        fake_returns (runner, 5, false);
    return true;
}

/*  In start. */
static bool work_step (resil__runner_t *runner, const plan_t *plan)
{
    bool cancelled = fake_is_cancelled (runner);
    if (cancelled && plan->cancel == PLAN_STAY)
        return false;
    if (cancelled && (plan->cancel == PLAN_RETURN || runner->step == AT_ITS_ACK_FOR_EVER)) {
        fake_returns (runner, (int) (plan->style % 2), false);
        return true;
    }
    if (cancelled || runner->step >= AT_FAILURE)
        return fail_step (runner, plan->style);
    if (runner->step == AT_START)
        switch (plan->start) {
        case PLAN_UP:
            runner->step = AT_WORK;
            if (plan->style % 5 == 0)
                fake_sends_raw (runner, RESIL__RAW_READY);
            else if (plan->style % 5 > 1 || !plan_is_quick (runner->spec->name))
                fake_says_ready (runner);
            return true;
        case PLAN_FAIL:
            return fail_step (runner, plan->style);
        case PLAN_IGNORE:
        case PLAN_COMPLETE:
            fake_returns (runner, 0, plan->start == PLAN_IGNORE);
            return true;
        case PLAN_HANG:
            return false;
        }
    if (ordered != runner)
        return false;
    if (order == TO_COMPLETE)
        fake_returns (runner, 0, false);
    else {
        runner->step = AT_FAILURE;
        fail_step (runner, plan->style);
    }
    ordered = NULL;
    return true;
}

/*  What its thread does next. False: nothing. */
static bool thread_step (resil__runner_t *runner)
{
    if (!runner->child)
        return false; /*  it hangs, or is gone                                     */
    plan_t plan = plan_of (&model.rates, path_of (runner), runner->incarnation);
    switch (runner->place) {
    case FAKE_UNBORN:
        fake_make_thread (runner);
        return true;
    case FAKE_PARKED:
        return fake_receive (runner);
    case FAKE_SYNCING:
        return fake_synced (runner);
    case FAKE_RUNNING:
        return work_step (runner, &plan);
    case FAKE_HANDLING:
        if (plan.handler == PLAN_NO_ANSWER)
            return false;
        fake_handler_returns (runner, plan.handler == PLAN_DECLINE);
        return true;
    case FAKE_SPENDING:
        fake_has_spent (runner);
        return true;
    case FAKE_GOING_ON:
        fake_goes_on (runner);
        return true;
    case FAKE_FREEING:
        if (!plan.leaves)
            return false;
        fake_args_freed (runner);
        return true;
    case FAKE_MAKING:
    case FAKE_GONE:
        break;
    }
    return false;
}

/*  ---- Until nothing happens any more ---- */

static bool has_something (const resil__runner_t *runner)
{
    if (runner->outbox.written != runner->outbox.read)
        return true;
    return runner->place != FAKE_GONE && (runner->rang || runner->raws_sent != runner->raws_taken);
}

static bool is_a_child (const void *which)
{
    for (size_t at = 0; at < node_count; at++)
        for (size_t i = 0; i < nodes[at]->child_count; i++)
            if (nodes[at]->children[i] == which)
                return true;
    return false;
}

static void conclude (void)
{
    bool somebody_may_go = tree.forgotten || tree.news;
    resil__loop_conclude (&tree);
    if (somebody_may_go)
        fake_forget_children (is_a_child);
}

static bool serve_one (void)
{
    for (resil__runner_t *runner = fake_all; runner; runner = runner->next)
        if (has_something (runner)) {
            resil__loop_serve (&tree, runner);
            conclude ();
            return true;
        }
    return false;
}

static bool fire_one (void)
{
    resil__timer_t *timer = resil__heap_first (&tree.heap);
    if (!timer || timer->due_us > tree.now_us)
        return false;
    timer->fire (timer);
    conclude ();
    return true;
}

static void settle (void)
{
    conclude ();
    do
        do
            for (resil__runner_t *runner = fake_all; runner; runner = runner->next)
                while (thread_step (runner))
                    ;
        while (serve_one ());
    while (fire_one ());
}

/*  ---- The comparison ---- */

static void note_child (const resil__child_t *child)
{
    const resil__runner_t *runner = child->runner;
    note ("        core: %s/%s#%d is %s%s", child->supervisor->path, child->spec->name,
          (int) child->incarnation, resil__phase_name (child->phase), child->held ? ", held" : "");
    if (runner)
        note ("            its runner is at %d with #%d, told %u, rang %d, wrote %zu of %zu",
              (int) runner->place, (int) runner->incarnation, runner->sent - runner->taken,
              (int) runner->rang, (size_t) runner->outbox.read, (size_t) runner->outbox.written);
}

static void differs (const char *format, ...) RESIL_PRINTF (1, 2);
static void differs (const char *format, ...)
{
    char text[400];
    va_list args;
    va_start (args, format);
    vsnprintf (text, sizeof text, format, args);
    va_end (args);
    for (size_t at = 0; at < node_count; at++)
        for (size_t i = 0; i < nodes[at]->child_count; i++)
            note_child (nodes[at]->children[i]);
    for (size_t i = 0; i < model.told_count; i++)
        note ("        model: %c%s#%d", model.told[i].what, model.told[i].path,
              (int) model.told[i].incarnation);
    broken (text);
}

static int compare_told (const void *left, const void *right)
{
    const model_told_t *a = left, *b = right;
    int by_path = strcmp (a->path, b->path);
    if (by_path)
        return by_path;
    if (a->incarnation != b->incarnation)
        return a->incarnation < b->incarnation ? -1 : 1;
    return a->what - b->what;
}

/*  Below a dynamic supervisor others stop at the same time: then the order is open. */
static bool order_is_open (void)
{
    for (size_t i = 1; i < node_count; i++)
        if (nodes[i]->child && nodes[i]->child->supervisor->options.strategy == RESIL_DYNAMIC)
            return true;
    return false;
}

static void compare_what_was_told (bool in_any_order)
{
    if (in_any_order) {
        qsort (told, told_count, sizeof *told, compare_told);
        qsort (model.told, model.told_count, sizeof *told, compare_told);
    }
    for (size_t i = 0; i < told_count && i < model.told_count; i++)
        if (compare_told (&told[i], &model.told[i]))
            differs ("told %zu: %c%s#%d, not %c%s#%d", i, told[i].what, told[i].path,
                     (int) told[i].incarnation, model.told[i].what, model.told[i].path,
                     (int) model.told[i].incarnation);
    if (told_count != model.told_count)
        differs ("%zu were told something, not %zu", told_count, model.told_count);
    told_count = model.told_count = 0;
}

static void compare_child (const resil__child_t *child, const model_child_t *expected)
{
    static const char *const phases[] = {"down", "up", "waiting"};
    static const resil__phase_t phase_of[] = {RESIL__DOWN, RESIL__UP, RESIL__WAITING};
    const char *path = expected->path;
    if (strcmp (child->spec->name, plan_name (path)) != 0)
        differs ("a child is %s, not %s", child->spec->name, path);
    if (child->phase != phase_of[expected->phase])
        differs ("%s is %s, not %s", path, resil__phase_name (child->phase),
                 phases[expected->phase]);
    if (child->incarnation != expected->incarnation)
        differs ("%s is at incarnation %d, not %d", path, (int) child->incarnation,
                 (int) expected->incarnation);
    if (child->phase == RESIL__WAITING && child->held != expected->held)
        differs ("%s waits for %s", path, child->held ? "its group" : "itself");
    bool has_timer = expected->phase == MODEL_WAITING && !expected->held;
    if (!has_timer &&
        (child->deadline_us != RESIL__NEVER || (child->timer.place && child->phase != RESIL__UP)))
        differs ("%s has a timer", path);
    if (has_timer &&
        (child->timer.due_us > expected->due_us || child->deadline_us != expected->due_us))
        differs ("%s is due at %lld, not %lld", path, (long long) child->timer.due_us,
                 (long long) expected->due_us);
    if (child->phase == RESIL__DOWN && child->asked != expected->asked)
        differs ("%s %s to start in its turn", path, child->asked ? "is" : "is not");
}

static void compare_supervisor (const resil_supervisor_t *self, const model_supervisor_t *expected)
{
    static const resil__stage_t stage_of[] = {RESIL__CREATED, RESIL__BOOTING, RESIL__RUNNING,
                                              RESIL__PAUSING, RESIL__ENDED};
    const char *path = expected->path;
    if (self->stage != stage_of[expected->stage])
        differs ("%s is at stage %d, not %d", path, (int) self->stage,
                 (int) stage_of[expected->stage]);
    if (expected->stage == MODEL_ENDED) {
        if (self->reason != expected->reason && !expected->deleted)
            differs ("%s has ended for %d, not %d", path, (int) self->reason,
                     (int) expected->reason);
        if (self->reason == RESIL_ENDED_ESCALATED && !expected->deleted &&
            strcmp (self->error_component, expected->culprit) != 0)
            differs ("%s has ended because of %s, not %s", path, self->error_component,
                     expected->culprit);
        return;
    }
    if (self->child_count != expected->child_count)
        differs ("%s has %zu children, not %zu", path, self->child_count, expected->child_count);
    size_t live = 0;
    for (size_t i = 0; i < self->child_count; i++) {
        compare_child (self->children[i], expected->children[i]);
        live += self->children[i]->phase != RESIL__DOWN;
    }
    if (self->live_count != live)
        differs ("%s counts %zu that live, not %zu", path, self->live_count, live);
    if (self->quarantined_count != expected->quarantined)
        differs ("%s has %zu quarantined, not %u", path, self->quarantined_count,
                 expected->quarantined);
    size_t used = 0;
    for (size_t i = 0; i < expected->restart_count; i++)
        used += model.now_us - expected->restarted_at_us[i] <= expected->options.window_ms * 1000;
    if (resil__limit_used (&self->limit, tree.now_us) != used)
        differs ("%s counts %zu restarts, not %zu", path,
                 resil__limit_used (&self->limit, tree.now_us), used);
    /*  All is told, so what is lent lies there. */
    int left = atomic_load (&self->limit.tokens->left);
    if (self->limit.lent != (left == RESIL__ENDLESS ? 0 : left))
        differs ("%s has lent %d, and %d are left", path, self->limit.lent, left);
    bool pauses = expected->stage == MODEL_PAUSING;
    if (pauses != (self->group_timer.place != 0) ||
        (pauses && self->group_timer.due_us != expected->group_due_us))
        differs ("the group of %s is due at %lld, not %lld", path,
                 (long long) self->group_timer.due_us, (long long) expected->group_due_us);
}

static void compare_calls (void)
{
    for (size_t i = 0; i < CALLS; i++) {
        call_t *call = &calls[i];
        if (!call->in_use)
            continue;
        if (call->answered != call->expected.answered)
            differs ("call %d about %s is %sanswered%s%s", (int) call->command.verb, call->name,
                     call->answered ? "" : "not ", call->answered ? ": " : "",
                     call->answered ? strerror (call->error) : "");
        if (call->answered && call->error != call->expected.error)
            differs ("call %d about %s is answered %s, not %s", (int) call->command.verb,
                     call->name, strerror (call->error), strerror (call->expected.error));
        call->in_use = !call->answered;
    }
}

static void check_room (void)
{
    if (tree.hung_count > tree.runner_room || tree.gone_count > 2 * tree.runner_room)
        differs ("%zu hang and %zu are gone: more than there is room for", tree.hung_count,
                 tree.gone_count);
}

static void compare (bool in_any_order)
{
    check_room ();
    compare_what_was_told (in_any_order || order_is_open ());
    for (size_t i = 0; i < node_count; i++)
        compare_supervisor (nodes[i], &model.supervisors[i]);
    compare_calls ();
}

/*  ---- Things to do, to both ---- */

static void execute (call_t *call)
{
    bool is_open = order_is_open ();
    resil__admin_execute (call->command.supervisor, &call->command);
    settle ();
    compare (is_open);
}

static void both_spawn (size_t at)
{
    note ("spawn %s", nodes[at]->path);
    call_t *call = new_call (nodes[at], RESIL__SPAWN, nodes[at]->name);
    model_spawn (&model.supervisors[at], &call->expected);
    execute (call);
}

static void both_add (size_t at, const char *name, const model_policy_t *policy)
{
    char path[256];
    snprintf (path, sizeof path, "%s/%s", nodes[at]->path, name);
    note ("add %s: restart type %d, delay %d, args %d%s", path, (int) policy->restart,
          (int) policy->delay.initial_ms, policy->args, policy->args_shared ? " shared" : "");
    call_t *call = new_call (nodes[at], RESIL__ADD, name);
    call->command.spec = spec_of (name, policy, false);
    model_add (&model.supervisors[at], path, policy, NULL, &call->expected);
    execute (call);
}

static void both_add_below (size_t at, const char *name, const model_policy_t *policy,
                            const resil_supervisor_options_t *options)
{
    char path[256];
    snprintf (path, sizeof path, "%s/%s", nodes[at]->path, name);
    note ("add supervisor %s: restart type %d, strategy %d, limit %d in %d, shutdown %d, "
          "quarantine %d",
          path, (int) policy->restart, (int) options->strategy, options->max_restarts,
          (int) options->window_ms, (int) options->auto_shutdown, options->max_quarantined);
    call_t *call = new_call (nodes[at], RESIL__ADD, name);
    resil_supervisor_t *node = node_new (options, name, nodes[at]);
    call->command.spec = spec_of (name, policy, true);
    call->command.subtree = node;
    model_supervisor_t *below = model_new_supervisor (path, options);
    model_add (&model.supervisors[at], path, policy, below, &call->expected);
    if (call->expected.error)
        model.supervisor_count--;
    else
        nodes[node_count++] = node;
    bool refused = call->expected.error != 0;
    execute (call);
    if (refused)
        node_free (node);
}

typedef void (model_about_child_t) (model_supervisor_t *self, const char *name, model_call_t *call);

static void both_about_child (size_t at, resil__verb_t verb, const char *name)
{
    static const struct {
        const char *word;
        model_about_child_t *model;
    } verbs[] = {[RESIL__TERMINATE] = {"terminate", model_terminate},
                 [RESIL__RESTART_CHILD] = {"restart", model_restart_child},
                 [RESIL__DELETE] = {"delete", model_delete},
                 [RESIL__HURRY] = {"hurry", model_hurry}};
    note ("%s %s/%s", verbs[verb].word, nodes[at]->path, name);
    call_t *call = new_call (nodes[at], verb, name);
    verbs[verb].model (&model.supervisors[at], name, &call->expected);
    execute (call);
}

static void both_set_options (size_t at, const resil_supervisor_options_t *options)
{
    note ("options of %s: strategy %d, limit %d in %d, shutdown %d, quarantine %d", nodes[at]->path,
          (int) options->strategy, options->max_restarts, (int) options->window_ms,
          (int) options->auto_shutdown, options->max_quarantined);
    call_t *call = new_call (nodes[at], RESIL__SET_OPTIONS, "");
    call->options = *options;
    call->command.options = &call->options;
    model_set_options (&model.supervisors[at], options, &call->expected);
    execute (call);
}

static void both_set_spec (size_t at, const char *name, const model_policy_t *policy)
{
    note ("spec of %s/%s: restart type %d, args %d%s", nodes[at]->path, name, (int) policy->restart,
          policy->args, policy->args_shared ? " shared" : "");
    call_t *call = new_call (nodes[at], RESIL__SET_SPEC, name);
    call->command.spec = spec_of (name, policy, false);
    model_set_spec (&model.supervisors[at], name, policy, &call->expected);
    execute (call);
}

static void both_stop (size_t at)
{
    note ("stop %s", nodes[at]->path);
    call_t *call = new_call (nodes[at], RESIL__STOP_ALL, "");
    model_stop (&model.supervisors[at], &call->expected);
    execute (call);
}

static void both_order (size_t at, const char *name, order_t what)
{
    static const char *const words[] = {"", "fails", "fails and hangs", "completes"};
    model_child_t *expected = model_find (&model.supervisors[at], name);
    const resil__child_t *child = nodes[at]->children[model_index (expected)];
    note ("%s %s", expected->path, words[what]);
    bool is_open = order_is_open ();
    ordered = child->runner;
    order = what;
    if (what == TO_FAIL)
        model_component_fails (expected);
    else if (what == TO_COMPLETE)
        model_component_completes (expected);
    else
        model_component_fails_and_hangs (expected);
    settle ();
    compare (is_open);
}

/*  To this instant, or to what is due before. False: two things are due at once, and which of them
    comes first is open. */
static bool both_wait_until (int64_t until_us)
{
    bool is_tie;
    int64_t due_us = model_next_due_us (&is_tie);
    if (due_us > until_us) {
        set_time (until_us);
        return true;
    }
    if (is_tie)
        return false;
    note ("time is %lld", (long long) due_us);
    bool is_open = order_is_open ();
    set_time (due_us);
    model_due ();
    settle ();
    compare (is_open);
    return true;
}

static void both_begin (const resil_supervisor_options_t *options, const plan_rates_t *rates)
{
    /*  What a case that failed has left. */
    model_clear ();
    fake_all = NULL;
    fake_ledgers = NULL;
    fake_refuses = fake_births = NULL;
    model.rates = *rates;
    model_new_supervisor ("/r", options);
    tree_begin (options);
    told_count = 0;
    ordered = NULL;
    memset (calls, 0, sizeof calls);
    fake_told = note_told;
    fake_broken = broken;
    note ("root: strategy %d, limit %d in %d, shutdown %d, quarantine %d", (int) options->strategy,
          options->max_restarts, (int) options->window_ms, (int) options->auto_shutdown,
          options->max_quarantined);
}

static void both_end (void)
{
    if (tree.root->stage != RESIL__ENDED)
        both_stop (0);
    for (size_t i = 0; i < CALLS; i++)
        hold (!calls[i].in_use, "a call is never answered");
    hold (tree.heap.count == 0, "a timer is left");
    model_clear ();
    tree_end ();
}

/*  ---- Cases by hand ---- */

static void begin_with (resil_strategy_t strategy, resil_auto_shutdown_t auto_shutdown,
                        const plan_rates_t *rates)
{
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    options.strategy = strategy;
    options.auto_shutdown = auto_shutdown;
    both_begin (&options, rates);
}

static const plan_rates_t all_well = {0};

static model_policy_t policy_of (resil_restart_t restart)
{
    return (model_policy_t){.restart = restart, .delay = {100, 400, 2.0, 0, RESIL_FOREVER}};
}

static void add (size_t at, const char *name, resil_restart_t restart)
{
    model_policy_t policy = policy_of (restart);
    both_add (at, name, &policy);
}

static const resil__child_t *child_of (size_t at, const char *name)
{
    for (size_t i = 0; i < nodes[at]->child_count; i++)
        if (strcmp (nodes[at]->children[i]->spec->name, name) == 0)
            return nodes[at]->children[i];
    return NULL;
}

static bool is_up (size_t at, const char *name)
{
    const resil__child_t *child = child_of (at, name);
    return child && child->phase == RESIL__UP;
}

/*  The second time it fails its restart, and its group's, has a delay. */
static void have_group_wait (const char *name)
{
    both_order (0, name, TO_FAIL);
    both_order (0, name, TO_FAIL);
    assert_int_equal (tree.root->stage, RESIL__PAUSING);
}

static void add_below (size_t at, const char *name, int max_restarts)
{
    model_policy_t policy = policy_of (RESIL_PERMANENT);
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    options.max_restarts = max_restarts;
    both_add_below (at, name, &policy, &options);
}

static void a_life_by_hand (void **state)
{
    (void) state;
    begin_with (RESIL_REST_FOR_ONE, RESIL_SHUTDOWN_NEVER, &all_well);
    add (0, "a", RESIL_TRANSIENT);
    add_below (0, "t1", 1);
    add (1, "b", RESIL_PERMANENT);
    both_spawn (0);
    add (1, "c", RESIL_TEMPORARY);
    both_order (1, "b", TO_FAIL);
    both_order (1, "b", TO_FAIL_AND_HANG);
    assert_true (is_up (1, "b") && !child_of (1, "c"));
    have_group_wait ("a");
    both_about_child (0, RESIL__HURRY, "a");
    model_policy_t policy = policy_of (RESIL_PERMANENT);
    both_set_spec (0, "a", &policy);
    both_order (0, "a", TO_COMPLETE);
    assert_true (both_wait_until (tree.now_us + 1000));
    assert_true (both_wait_until (tree.now_us + 1000000));
    assert_true (is_up (0, "a") && is_up (1, "b"));
    resil_supervisor_options_t options = tree.root->options;
    options.max_restarts = 0;
    both_set_options (0, &options);
    both_about_child (0, RESIL__TERMINATE, "a");
    both_about_child (0, RESIL__RESTART_CHILD, "a");
    both_order (0, "a", TO_FAIL);
    assert_int_equal (tree.root->reason, RESIL_ENDED_ESCALATED);
    both_end ();
}

static void a_member_with_other_arguments_starts_again_with_its_group (void **state)
{
    (void) state;
    begin_with (RESIL_ONE_FOR_ALL, RESIL_SHUTDOWN_NEVER, &all_well);
    add (0, "a", RESIL_TRANSIENT);
    add (0, "b", RESIL_TRANSIENT);
    add (0, "c", RESIL_TRANSIENT);
    both_spawn (0);
    model_policy_t policy = policy_of (RESIL_TRANSIENT);
    policy.args = 1;
    both_set_spec (0, "b", &policy);
    both_order (0, "a", TO_FAIL);
    assert_true (is_up (0, "a") && is_up (0, "b") && is_up (0, "c"));
    both_end ();
}

/*  Once. */
static int nothing_left (void)
{
    fake_refuses = fake_births = NULL;
    return EMFILE;
}

/*  Found out at once, or when the thread is to be made. */
static int (**const wants[]) (void) = {&fake_refuses, &fake_births};

static void ask_again_with_its_group (int (**want) (void))
{
    static const plan_rates_t nobody_returns = {.stay = 100};
    begin_with (RESIL_ONE_FOR_ALL, RESIL_SHUTDOWN_NEVER, &nobody_returns);
    add (0, "a", RESIL_TRANSIENT);
    add (0, "b", RESIL_TRANSIENT);
    both_spawn (0);
    *want = nothing_left;
    ordered = child_of (0, "a")->runner;
    order = TO_FAIL;
    settle ();
    assert_int_equal (tree.root->stage, RESIL__PAUSING);
    assert_int_equal (resil__dossier_of (child_of (0, "b"))->restarts, 1);
    set_time (tree.now_us + 100000);
    settle ();
    assert_true (is_up (0, "a") && is_up (0, "b"));
    resil__family_stop (tree.root, RESIL_ENDED_STOPPED, NULL);
    settle ();
    both_end ();
}

static void a_member_without_a_thread_is_asked_for_again_with_its_group (void **state)
{
    (void) state;
    for (size_t i = 0; i < sizeof wants / sizeof *wants; i++)
        ask_again_with_its_group (wants[i]);
}

static void who_waits_for_a_start_that_is_terminated_is_told (void **state)
{
    (void) state;
    begin_with (RESIL_ONE_FOR_ALL, RESIL_SHUTDOWN_NEVER, &all_well);
    add (0, "a", RESIL_TRANSIENT);
    both_spawn (0);
    have_group_wait ("a");
    add (0, "b", RESIL_TRANSIENT);
    both_about_child (0, RESIL__TERMINATE, "b");
    assert_non_null (child_of (0, "b"));
    add (0, "c", RESIL_TEMPORARY);
    both_about_child (0, RESIL__TERMINATE, "c");
    assert_null (child_of (0, "c"));
    both_end ();
}

static void who_is_terminated_is_no_reason_for_auto_shutdown (void **state)
{
    (void) state;
    begin_with (RESIL_ONE_FOR_ONE, RESIL_SHUTDOWN_ALL_SIGNIFICANT, &all_well);
    add (0, "a", RESIL_PERMANENT);
    add (0, "s1", RESIL_TRANSIENT);
    add (0, "s2", RESIL_TRANSIENT);
    both_spawn (0);
    both_order (0, "s1", TO_COMPLETE);
    both_about_child (0, RESIL__TERMINATE, "s2");
    assert_int_equal (tree.root->stage, RESIL__RUNNING);
    both_about_child (0, RESIL__RESTART_CHILD, "s1");
    both_order (0, "s1", TO_COMPLETE);
    assert_int_equal (tree.root->stage, RESIL__ENDED);
    both_end ();
}

static void an_end_before_auto_shutdown_was_set_is_no_reason_for_it (void **state)
{
    (void) state;
    begin_with (RESIL_ONE_FOR_ONE, RESIL_SHUTDOWN_ALL_SIGNIFICANT, &all_well);
    add (0, "a", RESIL_PERMANENT);
    add (0, "s1", RESIL_TRANSIENT);
    add (0, "s2", RESIL_TRANSIENT);
    both_spawn (0);
    both_order (0, "s1", TO_COMPLETE);
    resil_supervisor_options_t options = tree.root->options;
    options.auto_shutdown = RESIL_SHUTDOWN_ANY_SIGNIFICANT;
    both_set_options (0, &options);
    both_order (0, "a", TO_FAIL);
    add (0, "b", RESIL_TRANSIENT);
    assert_int_equal (tree.root->stage, RESIL__RUNNING);
    both_end ();
}

static void who_starts_in_its_turn_is_not_restarted_by_hand (void **state)
{
    (void) state;
    begin_with (RESIL_ONE_FOR_ALL, RESIL_SHUTDOWN_NEVER, &all_well);
    add (0, "a", RESIL_TRANSIENT);
    add (0, "b", RESIL_TRANSIENT);
    both_spawn (0);
    both_order (0, "a", TO_FAIL);
    both_about_child (0, RESIL__TERMINATE, "b");
    both_order (0, "a", TO_FAIL);
    both_about_child (0, RESIL__RESTART_CHILD, "b");
    both_about_child (0, RESIL__DELETE, "b");
    assert_non_null (strstr (resil_errmsg (), "in its turn"));
    both_end ();
}

static void a_handler_that_hangs_after_a_restart_in_vain_is_given_up (void **state)
{
    (void) state;
    static const plan_rates_t second_is_bad = {.from = 2, .fail = 100, .no_answer = 100};
    begin_with (RESIL_ONE_FOR_ONE, RESIL_SHUTDOWN_NEVER, &second_is_bad);
    add (0, "a", RESIL_PERMANENT);
    both_spawn (0);
    both_order (0, "a", TO_FAIL);
    assert_int_equal (tree.root->stage, RESIL__ENDED);
    both_end ();
}

static void who_was_deleted_before_the_first_start_does_not_come_back (void **state)
{
    (void) state;
    begin_with (RESIL_ONE_FOR_ONE, RESIL_SHUTDOWN_NEVER, &all_well);
    add_below (0, "t1", 0);
    add (1, "a", RESIL_PERMANENT);
    add (1, "b", RESIL_PERMANENT);
    add_below (1, "t2", 0);
    both_about_child (1, RESIL__DELETE, "b");
    both_about_child (1, RESIL__DELETE, "t2");
    add (2, "a", RESIL_PERMANENT);
    both_spawn (0);
    both_order (1, "a", TO_FAIL);
    assert_int_equal (nodes[1]->child_count, 1);
    assert_true (is_up (1, "a"));
    both_end ();
}

static void who_fails_as_its_group_is_stopped_is_no_reason_for_auto_shutdown (void **state)
{
    (void) state;
    static const plan_rates_t bad_stops = {.fail_on_the_way = 100};
    begin_with (RESIL_ONE_FOR_ALL, RESIL_SHUTDOWN_ANY_SIGNIFICANT, &bad_stops);
    add (0, "a", RESIL_PERMANENT);
    add (0, "s1", RESIL_TEMPORARY);
    both_spawn (0);
    both_order (0, "a", TO_FAIL);
    assert_null (child_of (0, "s1"));
    assert_int_equal (tree.root->stage, RESIL__RUNNING);
    both_end ();
}

static void who_shuts_down_does_not_wait_for_its_group (void **state)
{
    (void) state;
    static const plan_rates_t third_is_bad = {.from = 3, .fail = 100};
    begin_with (RESIL_ONE_FOR_ALL, RESIL_SHUTDOWN_ANY_SIGNIFICANT, &third_is_bad);
    add (0, "s1", RESIL_TRANSIENT);
    add (0, "b", RESIL_PERMANENT);
    both_spawn (0);
    have_group_wait ("b");
    model_policy_t temporary = policy_of (RESIL_TEMPORARY);
    both_set_spec (0, "s1", &temporary);
    assert_true (both_wait_until (model.now_us + 1000000));
    assert_int_equal (tree.root->stage, RESIL__ENDED);
    assert_int_equal (tree.root->reason, RESIL_ENDED_COMPLETED);
    both_end ();
}

static void end_meanwhile (resil__runner_t *runner)
{
    if (runner->place == FAKE_PARKED)
        fake_receive (runner);
    if (runner->place == FAKE_FREEING)
        fake_args_freed (runner);
}

static void who_turns_out_to_be_gone_is_not_terminated (void **state)
{
    (void) state;
    begin_with (RESIL_DYNAMIC, RESIL_SHUTDOWN_NEVER, &all_well);
    both_spawn (0);
    add (0, "a", RESIL_TRANSIENT);
    assert_true (is_up (0, "a"));
    /*  It has a grant, goes on by it, completes, and ends as soon as it is told to. */
    resil__runner_t *runner = child_of (0, "a")->runner;
    runner->uses_raw = false;
    fake_reports (runner);
    fake_returns (runner, -1, false);
    fake_handler_returns (runner, 0);
    fake_has_spent (runner);
    fake_goes_on (runner);
    fake_returns (runner, 0, false);
    fake_meanwhile = end_meanwhile;
    call_t *call = new_call (nodes[0], RESIL__TERMINATE, "a");
    resil__admin_execute (nodes[0], &call->command);
    fake_meanwhile = NULL;
    assert_true (call->answered);
    assert_int_equal (call->error, ENOENT);
    assert_null (child_of (0, "a"));
    call->in_use = false;
    resil__family_stop (tree.root, RESIL_ENDED_STOPPED, NULL);
    settle ();
    both_end ();
}

static void set_shutdown_ms (size_t at, const char *name, int64_t ms)
{
    resil__child_t *child = resil__family_find (nodes[at], name);
    resil_spec_t says = said_by (child->spec);
    says.shutdown_ms = ms;
    child->spec = spec_instead (child->spec, &says, resil__spec_type (child->spec));
}

static void a_supervisor_that_ends_in_time_or_not_is_stopped_now_once (void **state)
{
    (void) state;
    static const plan_rates_t nobody_returns = {.stay = 100};
    begin_with (RESIL_ONE_FOR_ONE, RESIL_SHUTDOWN_NEVER, &nobody_returns);
    add_below (0, "t1", 1);
    add (1, "a", RESIL_PERMANENT);
    both_spawn (0);
    set_shutdown_ms (0, "t1", 5);
    set_shutdown_ms (1, "a", 1000);
    call_t *call = new_call (nodes[0], RESIL__TERMINATE, "t1");
    resil__admin_execute (nodes[0], &call->command);
    settle ();
    set_time (tree.now_us + 5000);
    assert_true (fire_one ());
    assert_false (fire_one ());
    assert_false (call->answered);
    set_time (tree.now_us + RESIL__MOMENT_MS * 1000);
    settle ();
    assert_true (call->answered);
    resil__family_stop (tree.root, RESIL_ENDED_STOPPED, NULL);
    call->in_use = false;
    both_end ();
}

static void end_with_a_handler_owed (int (**want) (void))
{
    static const plan_rates_t nobody_returns = {.stay = 100};
    begin_with (RESIL_ONE_FOR_ONE, RESIL_SHUTDOWN_NEVER, &nobody_returns);
    add_below (0, "t1", 1);
    add (1, "a", RESIL_PERMANENT);
    both_spawn (0);
    *want = nothing_left;
    ordered = child_of (1, "a")->runner;
    order = TO_FAIL_AND_HANG;
    settle ();
    assert_true (is_up (1, "a"));
    assert_int_equal (child_of (1, "a")->incarnation, 2);
    assert_int_equal (child_of (1, "a")->runner->ledger->handled, 0);
    resil__family_stop (tree.root, RESIL_ENDED_STOPPED, NULL);
    settle ();
    both_end ();
}

static void a_handler_that_is_owed_is_not_owed_after_the_end (void **state)
{
    (void) state;
    for (size_t i = 0; i < sizeof wants / sizeof *wants; i++)
        end_with_a_handler_owed (wants[i]);
}

static void there_is_room_for_all_that_hang (void **state)
{
    (void) state;
    static const plan_rates_t nobody_returns = {.stay = 100};
    begin_with (RESIL_ONE_FOR_ALL, RESIL_SHUTDOWN_NEVER, &nobody_returns);
    model_policy_t policy = {.restart = RESIL_PERMANENT, .delay = RESIL_DELAY_NONE};
    both_add (0, "a", &policy);
    add_below (0, "t1", 1);
    add (1, "b", RESIL_PERMANENT);
    both_spawn (0);
    for (int i = 0; i < 100; i++)
        both_order (0, "a", TO_FAIL);
    assert_int_equal (tree.hung_count, 100);
    both_end ();
}

static void a_root_does_not_end_for_want_of_children_that_never_completed (void **state)
{
    (void) state;
    static const plan_rates_t first_is_bad = {.fail = 100};
    begin_with (RESIL_ONE_FOR_ONE, RESIL_SHUTDOWN_NEVER, &first_is_bad);
    both_spawn (0);
    add (0, "a", RESIL_PERMANENT); /*  in vain: it is not kept                             */
    assert_int_equal (tree.root->stage, RESIL__RUNNING);
    add (0, "q1", RESIL_PERMANENT);
    both_about_child (0, RESIL__TERMINATE, "q1");
    both_about_child (0, RESIL__DELETE, "q1");
    assert_int_equal (tree.root->stage, RESIL__RUNNING);
    add (0, "q1", RESIL_TRANSIENT);
    both_order (0, "q1", TO_COMPLETE);
    assert_int_equal (tree.root->stage, RESIL__ENDED);
    both_end ();
}

/*  ---- A random run ---- */

static resil__random_t dice;

static unsigned throw_below (unsigned count)
{
    return (unsigned) (resil__random_next (&dice) % count);
}

static bool throw_percent (unsigned percent)
{
    return throw_below (100) < percent;
}

#define ONE_OF(array) ((array)[throw_below (sizeof (array) / sizeof *(array))])

static resil_delay_t random_delay (void)
{
    static const resil_delay_t delays[] = {
        RESIL_DELAY_NONE,         RESIL_DELAY_NONE,
        {100, 400, 2.0, 0, 1000}, {10, 10, 1.0, 0, RESIL_FOREVER},
        {1, 50, 3.0, 0, 5},
    };
    return ONE_OF (delays);
}

static model_policy_t random_policy (const char *name)
{
    static const resil_restart_t types[] = {RESIL_TRANSIENT, RESIL_PERMANENT, RESIL_PERMANENT,
                                            RESIL_TEMPORARY};
    model_policy_t policy = {.restart = ONE_OF (types),
                             .delay = random_delay (),
                             .args = throw_percent (30) ? (int) throw_below (3) : 0,
                             .args_shared = throw_percent (50)};
    if (plan_is_significant (name) && policy.restart == RESIL_PERMANENT)
        policy.restart = RESIL_TRANSIENT;
    return policy;
}

static resil_supervisor_options_t random_options (void)
{
    static const int limits[] = {RESIL_UNLIMITED, RESIL_UNLIMITED, 0, 1, 2, 3, 5, 8};
    static const int windows[] = {1, 20, 1000, 5000};
    static const int quarantines[] = {0, 1, 16, 16};
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    options.strategy = (resil_strategy_t) throw_below (4);
    options.auto_shutdown = (resil_auto_shutdown_t) throw_below (3);
    options.max_restarts = ONE_OF (limits);
    options.window_ms = ONE_OF (windows);
    options.max_quarantined = ONE_OF (quarantines);
    options.max_children = throw_percent (20) ? 4 : RESIL_UNLIMITED;
    return options;
}

static const char *random_name (void)
{
    static const char *const names[] = {"a", "b", "c", "d", "e", "q1", "q2", "s1", "s2"};
    return ONE_OF (names);
}

static const char *random_name_below (void)
{
    static const char *const names[] = {"t1", "t2", "s8"};
    return ONE_OF (names);
}

static int depth_of (const char *path)
{
    int depth = 0;
    for (; *path; path++)
        depth += *path == '/';
    return depth;
}

static void add_random_below (size_t at)
{
    if (depth_of (nodes[at]->path) >= 3 || node_count == MODEL_SUPERVISORS)
        return;
    const char *name = random_name_below ();
    model_policy_t policy = random_policy (name);
    policy.args = 0;
    resil_supervisor_options_t options = random_options ();
    both_add_below (at, name, &policy, &options);
}

static void add_random (size_t at)
{
    if (model.supervisors[at].child_count >= 8)
        return;
    const char *name = random_name ();
    model_policy_t policy = random_policy (name);
    both_add (at, name, &policy);
}

static plan_rates_t random_rates (void)
{
    bool calm = throw_percent (30);
    return (plan_rates_t){.seed = resil__random_next (&dice),
                          .fail = calm ? 5 : throw_below (30),
                          .ignore = throw_below (6),
                          .complete = throw_below (6),
                          .hang = calm ? 0 : throw_below (10),
                          .fail_on_the_way = throw_below (25),
                          .stay = calm ? 0 : throw_below (25),
                          .decline = calm ? 0 : throw_below (10),
                          .no_answer = calm ? 0 : throw_below (6),
                          .hang_in_the_end = calm ? 0 : throw_below (6)};
}

static void build_random_tree (void)
{
    plan_rates_t rates = random_rates ();
    resil_supervisor_options_t options = random_options ();
    both_begin (&options, &rates);
    for (size_t at = 0; at < node_count && node_count < MODEL_SUPERVISORS / 2; at++)
        for (unsigned i = throw_below (6); i > 0; i--)
            if (throw_percent (25))
                add_random_below (at);
            else
                add_random (at);
    both_spawn (0);
}

/*  Some child, or a name that there may not be. */
static const char *some_child (size_t at)
{
    const model_supervisor_t *self = &model.supervisors[at];
    static char name[MODEL_PATH];
    if (self->child_count == 0 || throw_percent (5))
        return random_name ();
    strcpy (name, plan_name (self->children[throw_below ((unsigned) self->child_count)]->path));
    return name;
}

static void order_some (void)
{
    static const order_t orders[] = {TO_FAIL, TO_FAIL, TO_FAIL, TO_FAIL_AND_HANG, TO_COMPLETE};
    const model_child_t *running[MODEL_SUPERVISORS * 8];
    size_t supervisors[MODEL_SUPERVISORS * 8], count = 0;
    for (size_t at = 0; at < node_count; at++)
        for (size_t i = 0; i < model.supervisors[at].child_count; i++)
            if (model.supervisors[at].children[i]->phase == MODEL_UP &&
                !model.supervisors[at].children[i]->below) {
                supervisors[count] = at;
                running[count++] = model.supervisors[at].children[i];
            }
    if (count == 0)
        return;
    size_t which = throw_below ((unsigned) count);
    both_order (supervisors[which], plan_name (running[which]->path), ONE_OF (orders));
}

static void change_options (size_t at)
{
    resil_supervisor_options_t options = random_options ();
    bool stays = model.supervisors[at].stage == MODEL_PAUSING || throw_percent (50) ||
                 options.strategy == RESIL_DYNAMIC ||
                 model.supervisors[at].options.strategy == RESIL_DYNAMIC;
    if (stays)
        options.strategy = model.supervisors[at].options.strategy;
    both_set_options (at, &options);
}

static void change_spec (size_t at)
{
    const char *name = some_child (at);
    const model_child_t *child = model_find (&model.supervisors[at], name);
    model_policy_t policy = random_policy (name);
    if (child)
        policy.delay = child->policy.delay;
    if (child && child->below)
        return;
    both_set_spec (at, name, &policy);
}

static void administrate (void)
{
    size_t at = throw_below ((unsigned) node_count);
    switch (throw_below (20)) {
    case 0:
    case 1:
    case 2:
        add_random (at);
        break;
    case 3:
        add_random_below (at);
        break;
    case 4:
    case 5:
        both_spawn (at);
        break;
    case 6:
    case 7:
    case 8:
        both_about_child (at, RESIL__TERMINATE, some_child (at));
        break;
    case 9:
    case 10:
    case 11:
    case 12:
        both_about_child (at, RESIL__RESTART_CHILD, some_child (at));
        break;
    case 13:
    case 14:
        both_about_child (at, RESIL__DELETE, some_child (at));
        break;
    case 15:
        both_about_child (at, RESIL__HURRY, some_child (at));
        break;
    case 16:
    case 17:
        change_options (at);
        break;
    case 18:
        change_spec (at);
        break;
    default:
        if (at > 0 || throw_percent (5))
            both_stop (at);
        break;
    }
}

/*  False: from here on it is open what must come. */
static bool random_step (void)
{
    bool is_tie;
    unsigned what = throw_below (100);
    if (!both_wait_until (tree.now_us + 1 + throw_below (3000)))
        return false;
    if (what < 45)
        order_some ();
    else if (what < 65) {
        int64_t due_us = model_next_due_us (&is_tie);
        if (due_us < INT64_MAX)
            return both_wait_until (due_us);
    }
    else
        administrate ();
    return true;
}

static uint64_t number_from (const char *variable, uint64_t otherwise)
{
    const char *text = getenv (variable);
    return text && *text ? strtoull (text, NULL, 10) : otherwise;
}

static void the_core_does_as_the_model (void **state)
{
    (void) state;
    uint64_t steps = number_from ("STEPS", 200000), done = 0, trees = 0;
    world_seed = number_from ("SEED", (uint64_t) resil__now_us ());
    printf ("SEED=%llu\n", (unsigned long long) world_seed);
    fflush (stdout);
    for (; done < steps; world_seed++, trees++) {
        dice.state = plan_mix (world_seed);
        build_random_tree ();
        unsigned most = 1 + throw_below (200), after_its_end = 4;
        for (unsigned i = 0; i < most && after_its_end > 0 && random_step (); i++, done++)
            after_its_end -= tree.root->stage == RESIL__ENDED;
        both_end ();
    }
    printf ("%llu steps with %llu trees\n", (unsigned long long) done, (unsigned long long) trees);
}

/*  ---- Everything at once ----

    Threads that do anything at any moment, also in the middle of what the supervisor does; bells that
    are heard late; calls that do not wait for each other. Nobody knows what must come of it; but
    some things hold at any time, and when all is calm again nobody waits for anything. */

static bool is_calm;
static bool is_meanwhile; /*  in the middle of what the supervisor does            */

static void *make_something (const void *recipe)
{
    (void) recipe;
    return NULL;
}

static void free_something (void *args)
{
    (void) args;
}

static const resil_type_t fresh_type = {RESIL_TYPE,
                                        .name = "fresh",
                                        .start = fake_start,
                                        .handle_irrecoverable = fake_handle,
                                        .args_new = make_something,
                                        .args_free = free_something};

static resil__spec_t *wild_spec (const char *name, bool is_subtree)
{
    static char arguments;
    static const int64_t starts[] = {1, 10, 100, RESIL_FOREVER};
    static const int64_t shutdowns[] = {0, 5, 100, RESIL_FOREVER};
    static const int64_t handlers[] = {1, 10, 100, RESIL_FOREVER};
    model_policy_t policy = random_policy (name);
    resil__spec_t *self = spec_of (name, &policy, is_subtree);
    if (is_subtree)
        return self;
    resil_spec_t says = said_by (self);
    says.start_ms = ONE_OF (starts);
    says.shutdown_ms = ONE_OF (shutdowns);
    says.handler_ms = ONE_OF (handlers);
    says.hang_ms = throw_percent (30) ? 10 : RESIL_FOREVER;
    says.ready_required = throw_percent (50);
    says.args = throw_percent (50) ? &arguments : NULL;
    bool is_fresh = throw_percent (30);
    if (is_fresh)
        says.args_shared = false;
    return spec_instead (self, &says, is_fresh ? &fresh_type : resil__spec_type (self));
}

/*  In start: anything. */
static void wild_work (resil__runner_t *runner)
{
    unsigned what = throw_below (100);
    if (throw_percent (80))
        runner->moved_at_us = fake_now_us;
    if (what < 25)
        fake_says_ready (runner);
    else if (what < 28)
        fake_sends_raw (runner, RESIL__RAW_READY);
    else if (what < 32)
        fake_sends_raw (runner, RESIL__RAW_REPORT);
    else if (what < 40)
        fake_reports (runner);
    else if (what < 44)
        fake_panics (runner);
    else if (what < 47)
        fake_returns (runner, 0, true);
    else if (what < 50)
        fake_returns (runner, 5, false);
    else if (what < 55 || (what < 80 && (fake_is_cancelled (runner) || runner->reported)))
        fake_returns (runner, 0, false);
}

/*  In start: what is to be done, and no more. */
static bool calm_work (resil__runner_t *runner)
{
    if (fake_is_cancelled (runner) || runner->reported || runner->acked == runner->incarnation)
        fake_returns (runner, 0, false);
    else if (!runner->ready)
        fake_says_ready (runner);
    else
        return false;
    return true;
}

/*  False: it waits. */
static bool do_wild_step (resil__runner_t *runner)
{
    if (!is_calm) {
        runner->stuck = runner->stuck ? !throw_percent (5) : throw_percent (2);
        if (runner->stuck)
            return false;
    }
    switch (runner->place) {
    case FAKE_UNBORN:
        fake_make_thread (runner);
        return true;
    case FAKE_PARKED:
        return fake_receive (runner);
    case FAKE_MAKING:
        fake_args_made (runner, is_calm || throw_percent (85));
        return true;
    case FAKE_RUNNING:
        if (is_calm)
            return calm_work (runner);
        wild_work (runner);
        return true;
    case FAKE_SYNCING:
        if (!is_calm && throw_percent (10)) /*  a thread of the component's own             */
            fake_sends_raw (runner, RESIL__RAW_REPORT);
        return fake_synced (runner);
    case FAKE_HANDLING:
        fake_handler_returns (runner, !is_calm && throw_percent (7));
        return true;
    case FAKE_SPENDING:
        fake_has_spent (runner);
        return true;
    case FAKE_GOING_ON:
        fake_goes_on (runner);
        return true;
    case FAKE_FREEING:
        fake_args_freed (runner);
        return true;
    case FAKE_GONE:
        break;
    }
    return false;
}

static bool wild_step (resil__runner_t *runner)
{
    fake_place_t place = runner->place;
    bool moved = do_wild_step (runner);
    const resil__child_t *child = runner->child;
    hold (is_meanwhile || place != FAKE_HANDLING || runner->place != FAKE_SPENDING || !child ||
              !child->to_stop,
          "it goes on by its leave after a stop");
    if (moved)
        note ("    %s#%d%s was at %d, is at %d%s", runner->spec->name, (int) runner->incarnation,
              runner->quarantined ? ", quarantined," : "", (int) place, (int) runner->place,
              runner->reported ? ", has reported" : "");
    return moved;
}

static void step_some_thread (void)
{
    size_t count = 0;
    for (resil__runner_t *runner = fake_all; runner; runner = runner->next)
        count++;
    if (count == 0)
        return;
    resil__runner_t *runner = fake_all;
    for (unsigned at = throw_below ((unsigned) count); at > 0; at--)
        runner = runner->next;
    wild_step (runner);
}

static void run_on_meanwhile (resil__runner_t *runner)
{
    is_meanwhile = true;
    while (throw_percent (20) && wild_step (runner))
        note ("    (meanwhile)");
    is_meanwhile = false;
}

static int refuse_sometimes (void)
{
    return throw_percent (5) ? EMFILE : 0;
}

/*  ---- What holds at any time ---- */

/*  All that has happened has been told. */
static void check_told (const resil__child_t *child)
{
    hold (child->told == resil__state_of_child (child), "its state has not been told");
    hold (!child->is_untold, "its incarnation has not been told");
    hold (child->told_done == child->done, "it has not been told whether it is done");
}

static void check_child (const resil__child_t *child)
{
    check_told (child);
    const resil_supervisor_t *self = child->supervisor;
    bool alone = child->phase == RESIL__WAITING && !child->held;
    if (child->phase == RESIL__DOWN && (child->timer.place || child->runner || child->stoppers))
        differs ("%s is down, and has a timer, a runner or one who waits for that",
                 child->spec->name);
    if (child->phase == RESIL__UP && (child->deadline_us != RESIL__NEVER || child->look_us ||
                                      (!child->runner && !child->subtree)))
        differs ("%s is up, and has a deadline or no runner", child->spec->name);
    if (child->timer.due_us > child->deadline_us)
        differs ("%s has a deadline, and no timer for it", child->spec->name);
    if (alone && !child->timer.place)
        differs ("%s waits for a restart that never comes", child->spec->name);
    if (child->asked && child->phase != RESIL__DOWN)
        differs ("%s is to start and has", child->spec->name);
    if (self->stage == RESIL__RUNNING &&
        ((child->phase == RESIL__WAITING && child->held) || (child->asked && !child->in_batch)))
        differs ("%s waits for a group that does not", child->spec->name);
    if (child->in_batch && !self->batches)
        differs ("%s is of no batch, and waits for one", child->spec->name);
    if ((child->waiter || child->in_batch) && child->phase == RESIL__DOWN && !child->asked &&
        self->stage != RESIL__STOPPING) /*  told when it has stopped                            */
        differs ("somebody waits for %s, which does not start", child->spec->name);
    if (self->stage == RESIL__ENDED &&
        (child->phase != RESIL__DOWN || child->waiter || child->asked || child->in_batch))
        differs ("%s is not at its end, and its supervisor is", child->spec->name);
}

static void check_all (void)
{
    size_t quarantined = 0;
    for (size_t at = 0; at < node_count; at++) {
        const resil_supervisor_t *self = nodes[at];
        size_t live = 0;
        quarantined += self->quarantined_count;
        for (size_t i = 0; i < self->child_count; i++) {
            check_child (self->children[i]);
            live += self->children[i]->phase != RESIL__DOWN;
        }
        if (live != self->live_count)
            differs ("%s counts %zu that live, not %zu", self->path, self->live_count, live);
        if (self->walks_batches || (self->batches && self->stage == RESIL__ENDED))
            differs ("%s is at something with a batch", self->path);
        if (self->group_timer.place && self->stage != RESIL__PAUSING)
            differs ("%s has a timer for a group that does not wait", self->path);
    }
    check_room ();
    if (quarantined != tree.hung_count)
        differs ("%zu are quarantined, not %zu", tree.hung_count, quarantined);
}

static void forget_answered_calls (void)
{
    for (size_t i = 0; i < CALLS; i++)
        calls[i].in_use &= !calls[i].answered;
}

/*  A turn of the actor; `percent` of the bells are heard. */
static bool turn (unsigned percent)
{
    bool was_rung = false;
    for (resil__runner_t *runner = fake_all; runner; runner = runner->next)
        if (runner->rang && throw_percent (percent)) {
            was_rung |= runner->place != FAKE_GONE;
            resil__loop_serve (&tree, runner);
        }
    if (tree.look_again)
        resil__loop_serve_again (&tree);
    resil__loop_take_timers (&tree);
    conclude ();
    check_all ();
    forget_answered_calls ();
    return was_rung;
}

/*  ---- When all is calm again ---- */

static int64_t first_due_us (void)
{
    int64_t first_us = RESIL__NEVER;
    for (size_t i = 1; i <= tree.heap.count; i++)
        if (tree.heap.timers[i]->fire != resil__hang_due && tree.heap.timers[i]->due_us < first_us)
            first_us = tree.heap.timers[i]->due_us;
    return first_us;
}

static void check_calm (void)
{
    for (size_t i = 0; i < CALLS; i++)
        if (calls[i].in_use)
            differs ("call %d about %s is never answered", (int) calls[i].command.verb,
                     calls[i].name);
    for (size_t at = 0; at < node_count; at++) {
        const resil_supervisor_t *self = nodes[at];
        if (self->stage != RESIL__CREATED && self->stage != RESIL__RUNNING &&
            self->stage != RESIL__ENDED)
            differs ("%s stays at stage %d", self->path, (int) self->stage);
        if (self->batches)
            differs ("%s has a batch that waits for ever", self->path);
        for (size_t i = 0; i < self->child_count; i++)
            if (self->children[i]->phase != RESIL__UP && self->children[i]->phase != RESIL__DOWN)
                differs ("%s/%s stays %s", self->path, self->children[i]->spec->name,
                         resil__phase_name (self->children[i]->phase));
    }
}

/*  All threads do what they are to do, all time passes that somebody waits for. */
static void calm_down (void)
{
    note ("calm at %lld", (long long) tree.now_us);
    is_calm = true;
    fake_meanwhile = NULL;
    fake_refuses = fake_births = NULL;
    for (resil__runner_t *runner = fake_all; runner; runner = runner->next)
        runner->stuck = false;
    /*  What a turn has told a thread, that does in the next round. */
    for (int turns = 0, idle = 0; idle < 2; turns++) {
        bool moved = false;
        for (resil__runner_t *runner = fake_all; runner; runner = runner->next)
            while (wild_step (runner))
                moved = true;
        moved |= turn (100);
        idle = moved ? 0 : idle + 1;
        if (idle == 2 && first_due_us () != RESIL__NEVER) {
            set_time (first_due_us ());
            idle = 0;
        }
        hold (turns < 10000, "it does not come to rest");
    }
    check_calm ();
    is_calm = false;
}

/*  ---- Calls ---- */

static void call_wildly (size_t at, resil__verb_t verb, const char *name)
{
    note ("call %d of %s about %s", (int) verb, nodes[at]->path, name);
    call_t *call = new_call (nodes[at], verb, name);
    resil_spec_t spec;
    resil_count_t count;
    resil__spec_t *specs[4] = {NULL};
    call->command.from_inside = throw_percent (20);
    call->command.spec_out = &spec;
    call->command.count = &count;
    if (verb == RESIL__ADD || verb == RESIL__SET_SPEC)
        call->command.spec = wild_spec (name, false);
    call->command.specs = specs;
    call->command.spec_count = verb == RESIL__ADD_MANY ? 1 + throw_below (4) : 0;
    for (size_t i = 0; i < call->command.spec_count; i++)
        specs[i] = wild_spec (random_name (), false);
    call->options = random_options ();
    call->command.options = &call->options;
    resil__admin_execute (nodes[at], &call->command);
    for (size_t i = 0; i < call->command.spec_count; i++)
        resil__spec_release (&specs[i]);
}

static void add_below_wildly (size_t at)
{
    if (depth_of (nodes[at]->path) >= 3 || node_count == MODEL_SUPERVISORS)
        return;
    const char *name = random_name_below ();
    note ("add supervisor %s to %s", name, nodes[at]->path);
    call_t *call = new_call (nodes[at], RESIL__ADD, name);
    resil_supervisor_options_t options = random_options ();
    resil_supervisor_t *node = node_new (&options, name, nodes[at]);
    call->command.spec = wild_spec (name, true);
    call->command.subtree = node;
    resil__admin_execute (nodes[at], &call->command);
    if (call->error)
        node_free (node);
    else
        nodes[node_count++] = node;
}

static const char *some_wild_child (size_t at)
{
    const resil_supervisor_t *self = nodes[at];
    return self->child_count == 0 || throw_percent (5)
               ? random_name ()
               : self->children[throw_below ((unsigned) self->child_count)]->spec->name;
}

static void administrate_wildly (void)
{
    static const resil__verb_t verbs[] = {
        RESIL__TERMINATE, RESIL__TERMINATE,     RESIL__RESTART_CHILD, RESIL__RESTART_CHILD,
        RESIL__DELETE,    RESIL__HURRY,         RESIL__COUNT,         RESIL__GET_SPEC,
        RESIL__SET_SPEC,  RESIL__SET_OPTIONS,   RESIL__SPAWN,         RESIL__STOP_ALL,
        RESIL__ADD,       RESIL__RESTART_CHILD, RESIL__SPAWN,         RESIL__ADD_MANY};
    size_t at = throw_below ((unsigned) node_count);
    resil__verb_t verb = ONE_OF (verbs);
    char name[RESIL_NAME_MAX + 1];
    strcpy (name, some_wild_child (at));
    if (throw_percent (10))
        add_below_wildly (at);
    else if (verb == RESIL__ADD || verb == RESIL__ADD_MANY)
        call_wildly (at, verb, random_name ());
    else if (verb == RESIL__SET_SPEC && strchr ("ts", name[0]) && name[1] != '1' && name[1] != '2')
        return;
    else if (verb != RESIL__STOP_ALL || at > 0)
        call_wildly (at, verb, name);
}

static size_t calls_that_wait (void)
{
    size_t count = 0;
    for (size_t i = 0; i < CALLS; i++)
        count += calls[i].in_use;
    return count;
}

static void storm_step (void)
{
    static const int64_t waits_us[] = {0, 10, 300, 1000, 4000, 20000, 150000, 40000000};
    unsigned what = throw_below (100);
    is_calm = false;
    fake_meanwhile = run_on_meanwhile;
    fake_refuses = fake_births = refuse_sometimes;
    if (what < 60)
        step_some_thread ();
    else if (what < 65 && calls_that_wait () < CALLS / 2)
        administrate_wildly ();
    else if (what < 75) {
        set_time (tree.now_us + ONE_OF (waits_us) + throw_below (10));
        note ("time is %lld", (long long) tree.now_us);
    }
    else
        turn (70);
}

static void begin_storm (void)
{
    resil_supervisor_options_t options = random_options ();
    both_begin (&options, &all_well);
    model_clear ();
    fake_told = NULL;
    is_calm = false;
    for (size_t at = 0; at < node_count && node_count < MODEL_SUPERVISORS / 2; at++)
        for (unsigned i = throw_below (6); i > 0; i--)
            if (throw_percent (25))
                add_below_wildly (at);
            else
                call_wildly (at, RESIL__ADD, random_name ());
    forget_answered_calls ();
    call_wildly (0, RESIL__SPAWN, "");
}

/*  The root is stopped in one of three ways, in the middle of it all. */
static void end_storm (void)
{
    static const resil__verb_t ends[] = {RESIL__STOP_ALL, RESIL__STOP_NOW, RESIL__CLOSE};
    for (unsigned i = 1 + throw_below (3); i > 0; i--) {
        call_wildly (0, ONE_OF (ends), "");
        for (unsigned steps = throw_below (50); steps > 0; steps--)
            storm_step ();
    }
    calm_down ();
    hold (tree.root->stage == RESIL__ENDED, "a stop does not end");
    hold (first_due_us () == RESIL__NEVER, "a timer is left");
    tree_end ();
}

static void print_what_was_not_visited (void)
{
    for (int phase = 0; phase < RESIL__PHASES; phase++)
        for (int event = 0; event < RESIL__EVENTS; event++)
            if (!visited[phase][event] &&
                __real_resil__lifecycle_step ((resil__phase_t) phase, (resil__event_t) event)
                        .action != RESIL__IGNORE)
                printf ("not visited: %s, %s\n", resil__phase_name ((resil__phase_t) phase),
                        resil__event_name ((resil__event_t) event));
}

static void whatever_comes_at_once_it_comes_to_rest (void **state)
{
    (void) state;
    uint64_t steps = number_from ("STEPS", 1000000), done = 0, trees = 0;
    world_seed = number_from ("SEED", (uint64_t) resil__now_us ());
    printf ("SEED=%llu\n", (unsigned long long) world_seed);
    fflush (stdout);
    for (; done < steps; world_seed++, trees++) {
        dice.state = plan_mix (world_seed);
        begin_storm ();
        for (unsigned most = throw_below (2000), i = 0; i < most && !tree.root->ended;
             i++, done++) {
            storm_step ();
            if (throw_below (300) == 0)
                calm_down ();
        }
        end_storm ();
    }
    printf ("%llu steps with %llu trees\n", (unsigned long long) done, (unsigned long long) trees);
    print_what_was_not_visited ();
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
        support_case (a_life_by_hand),
        support_case (a_member_with_other_arguments_starts_again_with_its_group),
        support_case (a_member_without_a_thread_is_asked_for_again_with_its_group),
        support_case (who_waits_for_a_start_that_is_terminated_is_told),
        support_case (who_is_terminated_is_no_reason_for_auto_shutdown),
        support_case (an_end_before_auto_shutdown_was_set_is_no_reason_for_it),
        support_case (who_starts_in_its_turn_is_not_restarted_by_hand),
        support_case (a_handler_that_hangs_after_a_restart_in_vain_is_given_up),
        support_case (who_was_deleted_before_the_first_start_does_not_come_back),
        support_case (who_fails_as_its_group_is_stopped_is_no_reason_for_auto_shutdown),
        support_case (who_shuts_down_does_not_wait_for_its_group),
        support_case (who_turns_out_to_be_gone_is_not_terminated),
        support_case (a_supervisor_that_ends_in_time_or_not_is_stopped_now_once),
        support_case (a_handler_that_is_owed_is_not_owed_after_the_end),
        support_case (there_is_room_for_all_that_hang),
        support_case (a_root_does_not_end_for_want_of_children_that_never_completed),
        support_case (the_core_does_as_the_model),
        support_case (whatever_comes_at_once_it_comes_to_rest),
    };
    return cmocka_run_group_tests (cases, set_up, support_teardown);
}
