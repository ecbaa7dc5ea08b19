/*  Random trees of supervisors, whose components do everything that a component can do wrong, while
    several threads and the components themselves administrate them at random, and stopped at random
    moments. An observer that knows nothing but the stream of events recounts all of it
    (audit.h), against snapshots, deadlines, a callback and the components' own books (ledger.h).
    SEED=n repeats what is random here (not what the machine adds), MINUTES=n says how long.

    ctest label: soak
    ctest timeout: 7200

    SPDX-License-Identifier: Apache-2.0 */
#include "audit.h"
#include "ledger.h"
#include "support.h"
#include "system.h"

#include <dirent.h>
#include <errno.h>

#define WORKERS 3
#define DRIVERS_MAX 3
#define LEVELS 4
#define SUPERVISORS_MAX 64
#define BOOKS_MAX 512
#define NAMES 6
#define SUBNAMES 3
#define NOTES 240

/*  A tree that takes longer to end is stuck: it is told of, and the program ends. */
#define STUCK_MS (SYSTEM_IS_SANITIZED ? 120000 : 60000)
#define CALM_MS (SYSTEM_IS_SANITIZED ? 30000 : 15000)

/*  ---- The tree ---- */

/*  A supervisor that was ever made, and what is the same for all of its path. */
typedef struct {
    resil_supervisor_t *handle;
    char path[PATH_ROOM];
    int above; /*  -1: the root                                              */
    int level;
    resil_supervisor_options_t options;
    resil_spec_t spec;
} place_t;

typedef struct {
    uint64_t seed;
    int number;
    dice_t dice;
    resil_supervisor_t *root;
    char name[32];

    bool may_hang;  /*  deadlines are short, and some overrun them                */
    bool is_strict; /*  one driver, and nobody else starts anybody                */
    bool is_inside; /*  components administrate too                               */
    bool changes;   /*  options and specs are changed                             */
    bool listens;   /*  a callback as well                                        */
    int declines_in;

    pthread_mutex_t lock;
    place_t places[SUPERVISORS_MAX];
    int place_count;
    book_t *books[BOOKS_MAX];
    int book_count;
    taken_t *taken;
    size_t taken_count;
    size_t taken_room;
    char changed[SUPERVISORS_MAX][PATH_ROOM]; /*  whose options were               */
    int changed_count;
    char notes[NOTES][200]; /*  the last calls                                      */
    size_t note_count;
    char wrong[600];

    pthread_rwlock_t living; /*  held by who calls from inside where somebody may hang     */
    bool is_gone;
    atomic_bool is_calm;    /*  whoever begins now only works                             */
    atomic_bool is_closed;  /*  the stop of all has returned                              */
    atomic_bool is_leaving; /*  drivers are to return                                     */
    int64_t began_us;
    int64_t until_us;
    observer_t observer;
    heard_t heard;
    lates_t waits; /*  of its actor for a processor                              */
} tree_t;

static figures_t figures;
static atomic_uint_fast64_t total_trees, total_components, total_calls, total_inside;
static pthread_mutex_t figures_lock = PTHREAD_MUTEX_INITIALIZER;

static void __attribute__ ((format (printf, 2, 3))) is_wrong (tree_t *tree, const char *format, ...)
{
    va_list args;
    pthread_mutex_lock (&tree->lock);
    if (!tree->wrong[0]) {
        va_start (args, format);
        vsnprintf (tree->wrong, sizeof tree->wrong, format, args);
        va_end (args);
    }
    pthread_mutex_unlock (&tree->lock);
}

/*  Keep in mind what was called; who finds out what was wrong reads it. */
static void __attribute__ ((format (printf, 2, 3))) note (tree_t *tree, const char *format, ...)
{
    va_list args;
    pthread_mutex_lock (&tree->lock);
    char *at = tree->notes[tree->note_count++ % NOTES];
    int size = snprintf (at, sizeof *tree->notes, "%lld ", (long long) system_now_us ());
    va_start (args, format);
    vsnprintf (at + size, sizeof *tree->notes - (size_t) size, format, args);
    va_end (args);
    pthread_mutex_unlock (&tree->lock);
}

/*  ---- What is the same for a path ---- */

/*  Names that a line has to be careful with are among them. */
static const char *const names[NAMES] = {"a", "b b", "c=c", "d\"d\"", "e\\e", "\303\247"};
static const char *const subnames[SUBNAMES] = {"x", "y y", "z"};

static dice_t dice_of (const tree_t *tree, const char *path)
{
    return (dice_t){tree->seed ^ hash_of (path)};
}

static resil_delay_t choose_delay (dice_t *dice)
{
    switch (roll (dice, 4)) {
    case 0:
        return (resil_delay_t) RESIL_DELAY_NONE;
    case 1:
        return (resil_delay_t){between (dice, 1, 10), 20, 1.5, between (dice, 0, 100), 50};
    case 2:
        return (resil_delay_t){between (dice, 1, 5), 60, 3.0, 20, RESIL_FOREVER};
    default:
        return (resil_delay_t){between (dice, 5, 30), 30, 1.0, 0, 1};
    }
}

static void choose_options (const tree_t *tree, dice_t *dice, resil_supervisor_options_t *options)
{
    static const resil_supervisor_options_t defaults = {RESIL_SUPERVISOR_OPTIONS};
    *options = defaults;
    options->seed = 1 + roll (dice, 1000000);
    options->delay = choose_delay (dice);
    options->max_quarantined = once_in (dice, 4) ? 1 : 1000;
    if (tree->is_strict)
        return;
    options->strategy = (resil_strategy_t) roll (dice, 4);
    if (once_in (dice, 2)) {
        options->max_restarts = (int) roll (dice, 12);
        options->window_ms = between (dice, 1, 200);
    }
    if (once_in (dice, 3))
        options->auto_shutdown = (resil_auto_shutdown_t) between (dice, 1, 2);
    if (once_in (dice, 5))
        options->max_children = between (dice, 3, 6);
}

static resil_restart_t choose_restart (dice_t *dice)
{
    uint32_t rolled = roll (dice, 8);
    return rolled < 4 ? RESIL_TRANSIENT : rolled < 7 ? RESIL_PERMANENT : RESIL_TEMPORARY;
}

static bool is_significant (const place_t *above, dice_t *dice, resil_restart_t restart)
{
    return above->options.auto_shutdown != RESIL_SHUTDOWN_NEVER && restart != RESIL_PERMANENT &&
           once_in (dice, 2);
}

static void choose_policy (const tree_t *tree, const place_t *above, dice_t *dice, policy_t *policy)
{
    *policy = (policy_t){20000,
                         20000,
                         20000,
                         RESIL_FOREVER,
                         once_in (dice, 2),
                         false,
                         choose_restart (dice),
                         between (dice, 3, 60),
                         0};
    policy->significant = is_significant (above, dice, policy->restart);
    policy->decline_in = tree->declines_in && once_in (dice, 2) ? tree->declines_in : 0;
    if (!tree->may_hang)
        return;
    policy->start_ms = between (dice, 40, 80);
    policy->shutdown_ms = once_in (dice, 12) ? 0 : between (dice, 30, 70);
    policy->handler_ms = between (dice, 40, 80);
    policy->hang_ms = once_in (dice, 2) ? RESIL_FOREVER : between (dice, 40, 90);
    policy->most = between (dice, 3, 12);
}

static void join_path (char path[PATH_ROOM], const place_t *above, const char *name)
{
    snprintf (path, PATH_ROOM, "%.*s/%.*s", RESIL_PATH_MAX, above->path, RESIL_NAME_MAX, name);
}

/*  The book of a path below that supervisor. */
static book_t *book_of_path (tree_t *tree, const place_t *above, const char *name)
{
    char path[PATH_ROOM];
    book_t *book = NULL;
    join_path (path, above, name);
    pthread_mutex_lock (&tree->lock);
    for (int i = 0; i < tree->book_count && !book; i++)
        if (strcmp (tree->books[i]->path, path) == 0)
            book = tree->books[i];
    if (!book && tree->book_count < BOOKS_MAX) {
        dice_t dice = dice_of (tree, path);
        book = calloc (1, sizeof *book);
        if (!book)
            abort ();
        pthread_mutex_init (&book->lock, NULL);
        book->tree = tree;
        strcpy (book->path, path);
        book->name = strrchr (book->path, '/') + 1;
        book->seed = tree->seed ^ hash_of (path);
        book->may_hang = tree->may_hang;
        choose_policy (tree, above, &dice, &book->policy);
        tree->books[tree->book_count++] = book;
        atomic_fetch_add (&total_components, 1);
    }
    pthread_mutex_unlock (&tree->lock);
    return book;
}

static book_t *find_book (void *arg, const char *path)
{
    tree_t *tree = arg;
    for (int i = 0; i < tree->book_count; i++)
        if (strcmp (tree->books[i]->path, path) == 0)
            return tree->books[i];
    return NULL;
}

static bool was_changed (const tree_t *tree, const char *path)
{
    for (int i = 0; i < tree->changed_count; i++)
        if (strcmp (tree->changed[i], path) == 0)
            return true;
    return false;
}

static const place_t *find_place (const tree_t *tree, const char *path)
{
    for (int i = 0; i < tree->place_count; i++)
        if (strcmp (tree->places[i].path, path) == 0)
            return &tree->places[i];
    return NULL;
}

/*  Not one that may be told in the middle of its stop to stop all at once. */
static bool stops_in_order (void *arg, const char *path)
{
    const tree_t *tree = arg;
    const place_t *place = find_place (tree, path);
    if (!place || place->options.strategy == RESIL_DYNAMIC || was_changed (tree, path))
        return false;
    for (const place_t *at = place; at->above >= 0; at = &tree->places[at->above])
        if (at->spec.shutdown_ms != RESIL_FOREVER)
            return false;
    return true;
}

static bool has_no_groups (void *arg, const char *path)
{
    const tree_t *tree = arg;
    const place_t *place = find_place (tree, path);
    return place && !was_changed (tree, path) &&
           (place->options.strategy == RESIL_DYNAMIC ||
            place->options.strategy == RESIL_ONE_FOR_ONE);
}

static place_t *any_place (tree_t *tree, dice_t *dice)
{
    pthread_mutex_lock (&tree->lock);
    place_t *place = &tree->places[roll (dice, (uint32_t) tree->place_count)];
    pthread_mutex_unlock (&tree->lock);
    return place;
}

/*  ---- Snapshots ---- */

static void keep_snapshot (tree_t *tree, resil_snapshot_t *snapshot)
{
    pthread_mutex_lock (&tree->lock);
    if (tree->taken_count == tree->taken_room) {
        tree->taken_room = tree->taken_room ? tree->taken_room * 2 : 32;
        tree->taken = realloc (tree->taken, tree->taken_room * sizeof *tree->taken);
        if (!tree->taken)
            abort ();
    }
    tree->taken[tree->taken_count++] = (taken_t){resil_snapshot_sequence (snapshot), snapshot};
    pthread_mutex_unlock (&tree->lock);
}

static int by_sequence (const void *a, const void *b)
{
    const taken_t *left = a, *right = b;
    return (left->sequence > right->sequence) - (left->sequence < right->sequence);
}

/*  ---- Calls ---- */

/*  The call went well or was refused with one of these. */
static void expect (tree_t *tree, const char *call, const char *path, const char *name, int rc,
                    const int *errors)
{
    int error = rc ? errno : 0;
    atomic_fetch_add (&total_calls, 1);
    note (tree, "< %s %s %s: %s", call, path, name, rc ? strerror (error) : "0");
    if (rc == 0)
        return;
    if (!*resil_errmsg ())
        is_wrong (tree, "%s: no sentence for %s", call, strerror (error));
    for (; *errors; errors++)
        if (error == *errors)
            return;
    is_wrong (tree, "%s %s %s: %s (%s)", call, path, name, strerror (error), resil_errmsg ());
}

#define EXPECT(call, rc, ...)                                                                      \
    expect (tree, (call), place->path, name, (rc), (const int[]){__VA_ARGS__, 0})

static void bar (tree_t *tree, const place_t *place, const char *name, bool barred)
{
    char path[PATH_ROOM];
    join_path (path, place, name);
    size_t size = strlen (path);
    if (!tree->is_strict)
        return;
    pthread_mutex_lock (&tree->lock);
    for (int i = 0; i < tree->book_count; i++)
        if (strncmp (tree->books[i]->path, path, size) == 0 &&
            (tree->books[i]->path[size] == '/' || tree->books[i]->path[size] == 0))
            book_bar (tree->books[i], barred);
    pthread_mutex_unlock (&tree->lock);
}

static void add_component (tree_t *tree, place_t *place, const char *name)
{
    book_t *book = book_of_path (tree, place, name);
    if (!book)
        return;
    const policy_t *policy = &book->policy;
    resil_spec_t spec = {RESIL_SPEC, .name = name, .type = "soaked", .args = book,
                         .restart = policy->restart};
    dice_t dice = {book->seed};
    if (once_in (&dice, 2))
        spec.delay = choose_delay (&dice);
    spec.start_ms = policy->start_ms;
    spec.shutdown_ms = policy->shutdown_ms;
    spec.handler_ms = policy->handler_ms;
    spec.hang_ms = policy->hang_ms;
    spec.ready_required = policy->ready_required;
    spec.significant = policy->significant;
    spec.args_shared = !once_in (&dice, 6);
    bar (tree, place, name, false);
    note (tree, "> add %s %s", place->path, name);
    int rc = resil_supervisor_add (place->handle, &spec);
    EXPECT ("add", rc, EEXIST, ENOSPC, ESHUTDOWN, ECHILD, ETIMEDOUT, ECANCELED, EINVAL);
    if (rc && errno == EINVAL && !tree->changes)
        is_wrong (tree, "add %s/%s: %s", place->path, name, resil_errmsg ());
}

/*  NULL: it was refused. */
static place_t *add_supervisor (tree_t *tree, place_t *above, const char *name)
{
    pthread_mutex_lock (&tree->lock);
    bool is_full = tree->place_count == SUPERVISORS_MAX;
    pthread_mutex_unlock (&tree->lock);
    if (is_full || above->level + 1 >= LEVELS)
        return NULL;
    place_t made = {.above = (int) (above - tree->places), .level = above->level + 1};
    const place_t *place = above;
    join_path (made.path, above, name);
    dice_t dice = dice_of (tree, made.path);
    choose_options (tree, &dice, &made.options);
    made.spec = (resil_spec_t){RESIL_SUBTREE, .name = name, .restart = choose_restart (&dice)};
    made.spec.significant = is_significant (above, &dice, made.spec.restart);
    if (once_in (&dice, 2))
        made.spec.delay = choose_delay (&dice);
    if (tree->may_hang && once_in (&dice, 3))
        made.spec.shutdown_ms = between (&dice, 20, 150);
    bar (tree, above, name, false);
    note (tree, "> add_supervisor %s %s", above->path, name);
    made.handle = resil_supervisor_add_supervisor (above->handle, &made.spec, &made.options);
    EXPECT ("add_supervisor", made.handle ? 0 : -1, EEXIST, ENOSPC, ESHUTDOWN, EINVAL);
    if (!made.handle)
        return NULL;
    pthread_mutex_lock (&tree->lock);
    place_t *kept = NULL;
    if (tree->place_count < SUPERVISORS_MAX) {
        kept = &tree->places[tree->place_count++];
        *kept = made;
        kept->spec.name = strrchr (kept->path, '/') + 1;
    }
    else
        snprintf (tree->changed[tree->changed_count++ % SUPERVISORS_MAX], PATH_ROOM, "%s",
                  made.path);
    pthread_mutex_unlock (&tree->lock);
    return kept;
}

static void change_options (tree_t *tree, place_t *place, dice_t *dice)
{
    const char *name = "";
    resil_supervisor_options_t options = place->options;
    pthread_mutex_lock (&tree->lock);
    bool fits = tree->changed_count < SUPERVISORS_MAX;
    if (fits)
        strcpy (tree->changed[tree->changed_count++], place->path);
    pthread_mutex_unlock (&tree->lock);
    if (!fits)
        return;
    if (once_in (dice, 2))
        options.strategy = (resil_strategy_t) roll (dice, 4);
    if (once_in (dice, 2))
        options.max_restarts = once_in (dice, 3) ? RESIL_UNLIMITED : (int) roll (dice, 9);
    if (once_in (dice, 3))
        options.auto_shutdown = (resil_auto_shutdown_t) roll (dice, 3);
    options.max_quarantined = (int) roll (dice, 20);
    note (tree, "> set_options %s to %d", place->path, (int) options.strategy);
    int rc = resil_supervisor_set_options (place->handle, &options);
    EXPECT ("set_options", rc, ESHUTDOWN, EINVAL);
}

static void change_spec (tree_t *tree, place_t *place, const char *name, dice_t *dice)
{
    static const char *const types[] = {"soaked", "soaked too"};
    resil_spec_t spec;
    int rc = resil_supervisor_get_spec (place->handle, name, &spec);
    EXPECT ("get_spec", rc, ENOENT, ESHUTDOWN);
    if (rc)
        return;
    book_t *book = spec.args;
    if (spec.type && strcmp (spec.name, name))
        is_wrong (tree, "get_spec of %s gives %s", name, spec.name);
    if (book && strcmp (book->name, name))
        is_wrong (tree, "get_spec of %s gives the arguments of %s", name, book->name);
    if (!book || !tree->changes)
        return;
    pthread_mutex_lock (&book->lock);
    book->respecced = true;
    pthread_mutex_unlock (&book->lock);
    spec.type = types[roll (dice, 2)];
    spec.delay = choose_delay (dice);
    if (once_in (dice, 2))
        spec.restart = spec.significant ? RESIL_TRANSIENT : choose_restart (dice);
    if (tree->may_hang && once_in (dice, 2))
        spec.hang_ms = spec.hang_ms < 0 ? 50 : RESIL_FOREVER;
    note (tree, "> set_spec %s %s", place->path, name);
    rc = resil_supervisor_set_spec (place->handle, &spec);
    EXPECT ("set_spec", rc, ENOENT, ESHUTDOWN, EINVAL);
}

static void take_snapshot (tree_t *tree, place_t *place)
{
    const char *name = "";
    resil_snapshot_t *snapshot = resil_supervisor_snapshot (place->handle);
    EXPECT ("snapshot", snapshot ? 0 : -1, ESHUTDOWN);
    if (snapshot)
        keep_snapshot (tree, snapshot);
}

static void count_children (tree_t *tree, place_t *place)
{
    const char *name = "";
    resil_count_t count;
    int rc = resil_supervisor_count_children (place->handle, &count);
    EXPECT ("count", rc, ESHUTDOWN);
    if (rc == 0 && (count.active + count.pending > count.specs || count.supervisors > count.specs))
        is_wrong (tree, "%s has %d children, %d active, %d pending, %d supervisors", place->path,
                  (int) count.specs, (int) count.active, (int) count.pending,
                  (int) count.supervisors);
}

static const char *any_name (dice_t *dice)
{
    return once_in (dice, 4) ? subnames[roll (dice, SUBNAMES)] : names[roll (dice, NAMES)];
}

static void terminate (tree_t *tree, place_t *place, const char *name, bool is_inside)
{
    note (tree, "> terminate %s %s", place->path, name);
    int rc = resil_supervisor_terminate_child (place->handle, name);
    EXPECT ("terminate", rc, ENOENT, ESHUTDOWN);
    if (rc == 0 && !is_inside)
        bar (tree, place, name, true);
}

static void restart (tree_t *tree, place_t *place, const char *name)
{
    bar (tree, place, name, false);
    note (tree, "> restart %s %s", place->path, name);
    int rc = resil_supervisor_restart_child (place->handle, name);
    EXPECT ("restart", rc, EALREADY, EBUSY, ENOENT, ESHUTDOWN, ECHILD, ETIMEDOUT, ECANCELED);
}

static void stop_one (tree_t *tree, place_t *place, bool is_inside)
{
    const char *name = "";
    note (tree, "> stop %s", place->path);
    int rc = resil_supervisor_stop (place->handle);
    EXPECT ("stop", rc, 0);
    if (rc || is_inside)
        return;
    resil_count_t count;
    if (place->above < 0)
        atomic_store (&tree->is_closed, true);
    else if (resil_supervisor_count_children (place->handle, &count) == 0) /*  not deleted     */
        bar (tree, &tree->places[place->above], strrchr (place->path, '/') + 1, true);
}

/*  A subtree of its own, with children, spawned unless it is to be forgotten about. */
static void grow_while_it_runs (tree_t *tree, place_t *above, dice_t *dice)
{
    const char *name = subnames[roll (dice, SUBNAMES)];
    place_t *place = add_supervisor (tree, above, name);
    if (!place)
        return;
    for (int i = between (dice, 0, 3); i > 0; i--)
        add_component (tree, place, names[roll (dice, NAMES)]);
    if (once_in (dice, 5))
        return;
    note (tree, "> spawn %s", place->path);
    int rc = resil_supervisor_spawn (place->handle);
    EXPECT ("spawn", rc, EALREADY, ESHUTDOWN, EINVAL, ECHILD, ETIMEDOUT, ECANCELED);
}

/*  What may happen to any tree at any moment, from any thread. */
static void do_anything (tree_t *tree, dice_t *dice, bool is_inside)
{
    place_t *place = any_place (tree, dice);
    const char *name = any_name (dice);
    int rc;
    switch (roll (dice, 17)) {
    case 0:
    case 1:
        add_component (tree, place, names[roll (dice, NAMES)]);
        break;
    case 2:
        grow_while_it_runs (tree, place, dice);
        break;
    case 3:
    case 4:
        terminate (tree, place, name, is_inside);
        break;
    case 5:
    case 6:
    case 7:
        restart (tree, place, name);
        break;
    case 8:
        note (tree, "> delete %s %s", place->path, name);
        rc = resil_supervisor_delete_child (place->handle, name);
        EXPECT ("delete", rc, EBUSY, ENOENT, ESHUTDOWN);
        break;
    case 9:
        note (tree, "> hurry %s %s", place->path, name);
        rc = resil_supervisor_hurry_child (place->handle, name);
        EXPECT ("hurry", rc, EALREADY, ENOENT, ESHUTDOWN);
        break;
    case 10:
        count_children (tree, place);
        break;
    case 11:
        if (tree->changes && once_in (dice, 2))
            change_options (tree, place, dice);
        break;
    case 12:
        change_spec (tree, place, name, dice);
        break;
    case 13:
        if (place->above >= 0 || once_in (dice, 20))
            stop_one (tree, place, is_inside);
        break;
    default:
        take_snapshot (tree, once_in (dice, 2) ? place : &tree->places[0]);
        break;
    }
}

/*  ---- From inside ---- */

static void expect_refusal (tree_t *tree, const char *what, int rc, int error, int expected)
{
    if (rc != -1 || error != expected)
        is_wrong (tree, "%s from inside: %d (%s)", what, rc, strerror (error));
}

static void call_from_inside (tree_t *tree, dice_t *dice)
{
    resil_supervisor_t *root = tree->places[0].handle; /*  it may just be being destroyed       */
    atomic_fetch_add (&total_inside, 1);
    if (once_in (dice, 8)) {
        errno = 0;
        int rc = resil_supervisor_wait (root, 0);
        expect_refusal (tree, "wait", rc, errno, EDEADLK);
        errno = 0;
        rc = resil_supervisor_spawn (root);
        expect_refusal (tree, "spawn", rc, errno, EDEADLK);
    }
    else if (once_in (dice, 200)) {
        resil_supervisor_t *mine = root;
        note (tree, "> destroy from inside");
        resil_supervisor_destroy (&mine);
        expect_refusal (tree, "destroy", mine ? -1 : 0, errno, EDEADLK);
    }
    else
        do_anything (tree, dice, true);
}

/*  One that hangs may outlive its tree: that is not there any more when it would call it. */
static void call_if_it_lives (tree_t *tree, dice_t *dice)
{
    if (!tree->may_hang) {
        call_from_inside (tree, dice);
        return;
    }
    pthread_rwlock_rdlock (&tree->living);
    if (!tree->is_gone)
        call_from_inside (tree, dice);
    pthread_rwlock_unlock (&tree->living);
}

/*  ---- Components ---- */

typedef enum {
    WORKS, /*  until it is told to return                                */
    CALLS, /*  somebody, and then works                                  */
    COMPLETES,
    REPORTS,
    REPORTS_AND_STAYS, /*  for the ack and a little longer                           */
    REPORTS_RAW,
    PANICS,
    RETURNS,
    IGNORES,
    HANGS,
    STARTS_SLOWLY,
    STOPS_SLOWLY,
    REPORTS_AND_HANGS
} plan_t;

typedef struct {
    book_t *book;
    tree_t *tree;
    size_t entry;
    dice_t dice;
    char text[100];
    int code;
} life_t;

static plan_t make_plan (life_t *life, uint64_t number)
{
    static const plan_t plans[] = {
        WORKS,   WORKS,       CALLS,  COMPLETES, REPORTS,          REPORTS,
        REPORTS, REPORTS_RAW, PANICS, RETURNS,   REPORTS_AND_STAYS};
    static const plan_t bad[] = {HANGS, STARTS_SLOWLY, STOPS_SLOWLY, REPORTS_AND_HANGS};
    if (atomic_load (&life->tree->is_calm) || number >= (uint64_t) life->book->policy.most)
        return WORKS;
    if (life->tree->may_hang && once_in (&life->dice, number ? 6 : 20))
        return bad[roll (&life->dice, sizeof bad / sizeof *bad)];
    if (number > 0 && once_in (&life->dice, 40))
        return IGNORES;
    return plans[roll (&life->dice, sizeof plans / sizeof *plans)];
}

static void say (life_t *life, said_t said)
{
    book_say (life->book, life->entry, said, life->code, life->text);
}

static void be_deaf (life_t *life, int64_t ms)
{
    book_deaf (life->book, life->entry, false);
    poll (NULL, 0, (int) ms);
    book_deaf (life->book, life->entry, true);
}

static int64_t longer_than (life_t *life, int64_t ms)
{
    return (ms < 0 || ms > 200 ? 60 : ms) + between (&life->dice, 20, 150);
}

/*  What it returns is a failure only as long as it was not told to. */
static int end_with (life_t *life, int rc, bool obeyed, bool completed)
{
    if (rc)
        book_say (life->book, life->entry, SAID_RETURNED, rc, "");
    book_end (life->book, life->entry, obeyed, completed);
    return rc;
}

static int report (life_t *life, resil_self_t *self, bool obeyed)
{
    say (life, SAID_REPORTED);
    book_end (life->book, life->entry, obeyed, false);
    return resil_fail (self, life->code, "%s", life->text);
}

static int report_raw (life_t *life, resil_self_t *self)
{
    say (life, SAID_REPORTED);
    if (zsock_send (resil_self_errors (self), "si", life->text, life->code))
        book_said_in_vain (life->book, life->entry);
    if (once_in (&life->dice, 2))
        resil_await_ack (self, 20);
    book_end (life->book, life->entry, false, false);
    return 0;
}

static int report_and_stay (life_t *life, resil_self_t *self, bool hangs)
{
    say (life, SAID_REPORTED);
    if (resil_report (self, life->code, "%s", life->text) < 0)
        book_said_in_vain (life->book, life->entry);
    if (hangs)
        poll (NULL, 0, (int) longer_than (life, life->book->policy.shutdown_ms));
    else if (once_in (&life->dice, 2))
        resil_await_ack (self, RESIL_FOREVER);
    book_end (life->book, life->entry, false, false);
    return 0;
}

/*  It was told to return. */
static int obey (life_t *life, resil_self_t *self)
{
    if (once_in (&life->dice, 10))
        return report (life, self, true);
    if (once_in (&life->dice, 10))
        poll (NULL, 0, between (&life->dice, 1, 3));
    int rc = once_in (&life->dice, 12) ? 3 : 0;
    book_end (life->book, life->entry, true, false);
    return rc;
}

/*  Whoever has a deadline for that shows that it goes on; most sleep. */
static int work (life_t *life, resil_self_t *self)
{
    bool is_busy = life->tree->may_hang && once_in (&life->dice, 3);
    while (is_busy && !resil_cancelled (self)) {
        poll (NULL, 0, 2);
        resil_progress (self, "busy");
    }
    while (resil_wait (self, NULL, RESIL_FOREVER) == 0)
        ;
    return obey (life, self);
}

static int stop_slowly (life_t *life, resil_self_t *self)
{
    while (resil_wait (self, NULL, RESIL_FOREVER) == 0)
        ;
    poll (NULL, 0, (int) longer_than (life, life->book->policy.shutdown_ms));
    book_end (life->book, life->entry, true, false);
    return 0;
}

static int hang (life_t *life)
{
    be_deaf (life, longer_than (life, life->book->policy.hang_ms));
    book_end (life->book, life->entry, false, true);
    return 0;
}

static int carry_out (life_t *life, resil_self_t *self, plan_t plan)
{
    switch (plan) {
    case COMPLETES:
        return end_with (life, 0, false, true);
    case REPORTS:
        return report (life, self, false);
    case REPORTS_AND_STAYS:
        return report_and_stay (life, self, false);
    case REPORTS_AND_HANGS:
        return report_and_stay (life, self, true);
    case REPORTS_RAW:
        return report_raw (life, self);
    case PANICS:
        say (life, SAID_PANICKED);
        book_end (life->book, life->entry, false, false);
        resil_panic (self, life->code, "%s", life->text);
    case RETURNS:
        return end_with (life, life->code + 1, false, false);
    case IGNORES:
        resil_ignore (self);
        return end_with (life, 0, false, true);
    case HANGS:
        return hang (life);
    case STOPS_SLOWLY:
        return stop_slowly (life, self);
    case CALLS:
        for (int i = life->tree->is_inside ? between (&life->dice, 1, 4) : 0; i > 0; i--)
            call_if_it_lives (life->tree, &life->dice);
        return work (life, self);
    default:
        return work (life, self);
    }
}

static int live (resil_self_t *self, void *args)
{
    book_t *book = args;
    life_t life = {.book = book, .tree = book->tree};
    uint64_t number = resil_self_incarnation (self);
    life.entry = book_begin (book, number, atomic_load (&life.tree->is_closed));
    life.dice.state = book->seed ^ (life.entry * 0x9e3779b97f4a7c15u);
    life.code = (int) roll (&life.dice, 1000);
    snprintf (life.text, sizeof life.text, "\"%s\" = \\%d\\ \303\247%%s", book->name,
              (int) life.entry);
    plan_t plan = make_plan (&life, life.entry);
    if (plan == IGNORES)
        return carry_out (&life, self, plan);
    if (plan == STARTS_SLOWLY)
        poll (NULL, 0, (int) longer_than (&life, book->policy.start_ms));
    if (once_in (&life.dice, 3))
        resil_wait (self, NULL, between (&life.dice, 0, 4));
    /*  Before it is ready; the first time that would mostly end the whole tree.            */
    if (once_in (&life.dice, life.entry ? 4 : 40) && plan != WORKS && plan != CALLS)
        return carry_out (&life, self, plan);
    resil_ready (self);
    if (once_in (&life.dice, 2))
        resil_wait (self, NULL, between (&life.dice, 0, 30));
    return carry_out (&life, self, plan);
}

static int handle (void *args, const resil_error_t *error)
{
    book_t *book = args;
    tree_t *tree = book->tree;
    ptrdiff_t at = book_handle (book, error);
    dice_t dice = {book->seed ^ ((uint64_t) at * 0x2545f4914f6cdd1du)};
    bool declines = book->policy.decline_in && once_in (&dice, (uint32_t) book->policy.decline_in);
    if (once_in (&dice, 8))
        poll (NULL, 0, between (&dice, 1, 3));
    if (tree->may_hang && !atomic_load (&tree->is_calm) && once_in (&dice, 15))
        poll (NULL, 0, (int) book->policy.handler_ms + between (&dice, 10, 100));
    book_handled (book, at);
    return declines;
}

/*  ---- Drivers ---- */

typedef struct {
    tree_t *tree;
    dice_t dice;
    pthread_t thread;
} driver_t;

static void *drive (void *arg)
{
    driver_t *driver = arg;
    tree_t *tree = driver->tree;
    while (!atomic_load (&tree->is_leaving)) {
        do_anything (tree, &driver->dice, false);
        if (!once_in (&driver->dice, 3))
            poll (NULL, 0, (int) roll (&driver->dice, 12));
    }
    return NULL;
}

/*  ---- Growing ---- */

static void grow (tree_t *tree, place_t *place)
{
    dice_t *dice = &tree->dice;
    int children = between (dice, place->level ? 1 : 2, 5);
    for (int i = 0; i < children && tree->book_count < 28; i++) {
        if (place->level + 1 < LEVELS && tree->place_count < 12 && once_in (dice, 3)) {
            place_t *below = add_supervisor (tree, place, subnames[roll (dice, SUBNAMES)]);
            if (below)
                grow (tree, below);
        }
        else
            add_component (tree, place, names[roll (dice, NAMES)]);
    }
}

/*  The threads of that name: supervisors' actors. */
static int actors (int ids[WORKERS * 4])
{
    int count = 0;
    DIR *folder = opendir ("/proc/self/task");
    for (struct dirent *entry; folder && (entry = readdir (folder)) && count < WORKERS * 4;) {
        char path[300], name[32] = "";
        snprintf (path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
        FILE *file = fopen (path, "r");
        if (file && fgets (name, sizeof name, file) && strcmp (name, "resil\n") == 0)
            ids[count++] = atoi (entry->d_name);
        if (file)
            fclose (file);
    }
    if (folder)
        closedir (folder);
    return count;
}

/*  The actor that was not there before is that of the new tree. */
static resil_supervisor_t *new_and_followed (tree_t *tree,
                                             const resil_supervisor_options_t *options)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    int before[WORKERS * 4], after[WORKERS * 4];
    tree->waits.fd = -1;
    pthread_mutex_lock (&lock);
    int old_count = actors (before);
    resil_supervisor_t *supervisor = resil_supervisor_new (options);
    int count = actors (after);
    for (int i = 0; supervisor && i < count; i++) {
        bool is_new = true;
        for (int j = 0; j < old_count; j++)
            is_new = is_new && after[i] != before[j];
        if (is_new && tree->waits.fd < 0)
            machine_follow (&tree->waits, after[i]);
    }
    pthread_mutex_unlock (&lock);
    return supervisor;
}

static bool plant (tree_t *tree)
{
    place_t *root = &tree->places[0];
    snprintf (tree->name, sizeof tree->name, "t%d", tree->number % 10);
    snprintf (root->path, sizeof root->path, "/%s", tree->name);
    dice_t dice = dice_of (tree, root->path);
    choose_options (tree, &dice, &root->options);
    root->options.name = tree->name;
    root->above = -1;
    root->handle = tree->root = new_and_followed (tree, &root->options);
    if (!tree->root) {
        is_wrong (tree, "new: %s", resil_errmsg ());
        return false;
    }
    tree->place_count = 1;
    if (observer_start (&tree->observer, tree->root)) {
        is_wrong (tree, "it cannot be observed: %s", resil_errmsg ());
        return false;
    }
    if (tree->listens && resil_supervisor_on_event (tree->root, audit_hear, &tree->heard))
        is_wrong (tree, "on_event: %s", resil_errmsg ());
    grow (tree, root);
    return true;
}

static void choose (tree_t *tree)
{
    dice_t *dice = &tree->dice;
    dice->state = tree->seed;
    tree->is_strict = once_in (dice, 6);
    tree->may_hang = !tree->is_strict && once_in (dice, 3);
    tree->is_inside = !tree->is_strict && once_in (dice, 2);
    tree->changes = !tree->is_strict && once_in (dice, 3);
    tree->listens = once_in (dice, 2);
    tree->declines_in = !tree->is_strict && once_in (dice, 3) ? 25 : 0;
    pthread_mutex_init (&tree->lock, NULL);
    pthread_rwlock_init (&tree->living, NULL);
}

/*  ---- Calm ---- */

static bool is_settled (tree_t *tree)
{
    resil_snapshot_t *snapshot = resil_supervisor_snapshot (tree->root);
    bool settled = snapshot;
    for (size_t i = 0; snapshot && i < resil_snapshot_size (snapshot); i++) {
        resil_state_t state = resil_snapshot_at (snapshot, i)->state;
        settled = settled && (state == RESIL_UP || state == RESIL_DOWN);
    }
    if (snapshot)
        keep_snapshot (tree, snapshot);
    return settled;
}

static void await_calm (tree_t *tree)
{
    int64_t until_us = system_now_us () + CALM_MS * 1000;
    while (!is_settled (tree)) {
        if (system_now_us () > until_us) {
            is_wrong (tree, "it does not come to rest");
            return;
        }
        poll (NULL, 0, 5);
    }
}

/*  What has just been started may still fail, and take its group along: then its turn comes soon. */
static void start_in_the_calm (tree_t *tree, place_t *above, const char *name)
{
    int64_t until_us = system_now_us () + CALM_MS * 1000;
    bar (tree, above, name, false);
    note (tree, "> restart %s %s in the calm", above->path, name);
    while (resil_supervisor_restart_child (above->handle, name) && errno == EBUSY) {
        if (system_now_us () > until_us) {
            is_wrong (tree, "in the calm, restart of %s/%s: %s", above->path, name,
                      resil_errmsg ());
            return;
        }
        poll (NULL, 0, 5);
    }
}

/*  Nobody is left of whom it is said that its turn is still to come. */
static void find_forgotten (tree_t *tree)
{
    resil_snapshot_t *snapshot = resil_supervisor_snapshot (tree->root);
    for (size_t i = 0; snapshot && i < resil_snapshot_size (snapshot); i++) {
        const resil_standing_t *is = resil_snapshot_at (snapshot, i);
        char above[PATH_ROOM];
        snprintf (above, sizeof above, "%.*s", (int) (strrchr (is->path, '/') - is->path),
                  is->path);
        for (int j = tree->place_count - 1; j >= 0 && is->state == RESIL_DOWN; j--)
            if (strcmp (tree->places[j].path, above) == 0) {
                start_in_the_calm (tree, &tree->places[j], is->name);
                break;
            }
    }
    if (snapshot)
        keep_snapshot (tree, snapshot);
    await_calm (tree);
}

/*  ---- One tree ---- */

static void join_all (tree_t *tree, driver_t *drivers, int count)
{
    atomic_store (&tree->is_leaving, true);
    for (int i = 0; i < count; i++)
        pthread_join (drivers[i].thread, NULL);
}

static void note_end (tree_t *tree)
{
    int reason = resil_supervisor_wait (tree->root, 0);
    const resil_error_t *error = resil_supervisor_error (tree->root);
    if (reason < 0)
        is_wrong (tree, "wait after stop: %s", resil_errmsg ());
    if ((reason == RESIL_ENDED_ESCALATED) != (error != NULL))
        is_wrong (tree, "ended for %d, with %s error", reason, error ? "an" : "no");
}

static void await_returned (tree_t *tree)
{
    int64_t until_us = system_now_us () + SUPPORT_PATIENCE_MS * 1000;
    while (resil_supervisor_quarantined (tree->root) > 0)
        if (system_now_us () < until_us)
            poll (NULL, 0, 1);
        else {
            is_wrong (tree, "%d threads do not come back",
                      (int) resil_supervisor_quarantined (tree->root));
            return;
        }
}

static void destroy (tree_t *tree)
{
    note (tree, "> destroy");
    pthread_rwlock_wrlock (&tree->living);
    tree->is_gone = true;
    pthread_rwlock_unlock (&tree->living);
    resil_supervisor_destroy (&tree->root);
    atomic_store (&tree->is_closed, true);
    machine_let_go (&tree->waits);
    note (tree, "< destroy");
}

/*  It lives, and ends in one of several ways. */
static void live_and_end (tree_t *tree)
{
    dice_t *dice = &tree->dice;
    driver_t drivers[DRIVERS_MAX];
    int count = tree->is_strict ? 1 : between (dice, 1, DRIVERS_MAX), most_ms = 400;
    bool early = !tree->is_strict && once_in (dice, 2);
    const place_t *place = &tree->places[0];
    const char *name = "";
    for (int i = 0; i < count; i++)
        drivers[i] = (driver_t){.tree = tree, .dice = {tree->seed + (uint64_t) i * 7919u + 1}};
    for (int i = 0; early && i < count; i++)
        if (pthread_create (&drivers[i].thread, NULL, drive, &drivers[i]))
            abort ();
    note (tree, "> spawn %s", place->path);
    int rc = resil_supervisor_spawn (tree->root);
    EXPECT ("spawn", rc, ESHUTDOWN, ECHILD, ETIMEDOUT);
    for (int i = 0; !early && i < count; i++)
        if (pthread_create (&drivers[i].thread, NULL, drive, &drivers[i]))
            abort ();
    if (once_in (dice, 8))
        most_ms = 3000;
    resil_supervisor_wait (tree->root, between (dice, 0, most_ms));
    int way = (int) roll (dice, 8);
    if (way < 6)
        join_all (tree, drivers, count);
    if (way < 5) {
        atomic_store (&tree->is_calm, true);
        await_calm (tree);
        find_forgotten (tree);
    }
    if (way % 2 || way >= 6) {
        stop_one (tree, &tree->places[0], false);
        note_end (tree);
    }
    if (way >= 6)
        join_all (tree, drivers, count);
    take_snapshot (tree, &tree->places[0]);
    if (once_in (dice, 2))
        await_returned (tree);
    destroy (tree);
}

static void await_books (tree_t *tree)
{
    int64_t until_us = system_now_us () + SUPPORT_PATIENCE_MS * 1000;
    for (int i = 0; i < tree->book_count; i++)
        while (book_inside (tree->books[i]) > 0 && system_now_us () < until_us)
            poll (NULL, 0, 1);
}

static void describe (const tree_t *tree, FILE *file)
{
    fprintf (file, "tree %d, seed %llu:%s%s%s%s%s, handlers decline once in %d\n", tree->number,
             (unsigned long long) tree->seed, tree->is_strict ? " strict" : "",
             tree->may_hang ? " hangs" : "", tree->is_inside ? " calls from inside" : "",
             tree->changes ? " changes" : "", tree->listens ? " callback" : "", tree->declines_in);
    for (int i = 0; i < tree->place_count; i++) {
        const resil_supervisor_options_t *options = &tree->places[i].options;
        fprintf (file,
                 "  %s: strategy %d, %d in %lld ms, auto %d, children %d, restart %d, "
                 "shutdown %lld ms%s\n",
                 tree->places[i].path, (int) options->strategy, options->max_restarts,
                 (long long) options->window_ms, (int) options->auto_shutdown,
                 options->max_children, (int) tree->places[i].spec.restart,
                 (long long) tree->places[i].spec.shutdown_ms,
                 was_changed (tree, tree->places[i].path) ? ", changed" : "");
    }
    for (int i = 0; i < tree->book_count; i++) {
        const policy_t *policy = &tree->books[i]->policy;
        fprintf (file,
                 "  %s: restart %d, start %d shutdown %d handler %d hang %d ms%s%s, %d times\n",
                 tree->books[i]->path, (int) policy->restart, (int) policy->start_ms,
                 (int) policy->shutdown_ms, (int) policy->handler_ms, (int) policy->hang_ms,
                 policy->ready_required ? ", ready" : "",
                 policy->significant ? ", significant" : "", (int) tree->books[i]->count);
    }
}

static void print_notes (const tree_t *tree, FILE *file)
{
    size_t first = tree->note_count > NOTES ? tree->note_count - NOTES : 0;
    for (size_t i = first; i < tree->note_count; i++)
        fprintf (file, "  call %s\n", tree->notes[i % NOTES]);
}

/*  For the reader of a failure: what the tree was, what was called, what was told around the place. */
static void print_tree (const tree_t *tree, uint64_t around)
{
    const observer_t *observer = &tree->observer;
    size_t last = around && around + 40 < observer->count ? (size_t) around + 40 : observer->count;
    size_t first = last > 240 ? last - 240 : 0;
    flockfile (stdout);
    describe (tree, stdout);
    print_notes (tree, stdout);
    for (size_t i = first; i < last; i++)
        printf ("  %s\n", observer->lines[i]);
    printf ("WRONG (at %d of %d): %s\n", (int) around, (int) observer->count, tree->wrong);
    fflush (stdout);
    funlockfile (stdout);
}

static void look_into (tree_t *tree)
{
    audit_t audit = {.observer = &tree->observer,
                     .heard = tree->listens ? &tree->heard : NULL,
                     .taken = tree->taken,
                     .taken_count = tree->taken_count,
                     .book_of = find_book,
                     .is_ordered = stops_in_order,
                     .is_single = has_no_groups,
                     .tree = tree,
                     .waits = &tree->waits,
                     .has_stopped = true,
                     .figures = &figures};
    qsort (tree->taken, tree->taken_count, sizeof *tree->taken, by_sequence);
    pthread_mutex_lock (&figures_lock);
    if (!audit_all (&audit, tree->places[0].path) && !tree->wrong[0])
        snprintf (tree->wrong, sizeof tree->wrong, "%s", audit.wrong);
    pthread_mutex_unlock (&figures_lock);
    if (tree->wrong[0])
        print_tree (tree, audit.wrong_at);
    audit_release (&audit);
}

static void release (tree_t *tree)
{
    for (size_t i = 0; i < tree->taken_count; i++)
        resil_snapshot_destroy (&tree->taken[i].snapshot);
    for (int i = 0; i < tree->book_count; i++) {
        pthread_mutex_destroy (&tree->books[i]->lock);
        free (tree->books[i]->entries);
        free (tree->books[i]);
    }
    observer_release (&tree->observer);
    free (tree->taken);
    free (tree->heard.digests);
    free (tree->waits.lates);
    pthread_mutex_destroy (&tree->lock);
    pthread_rwlock_destroy (&tree->living);
}

/*  ---- Workers ---- */

typedef struct {
    uint64_t seed;
    int number;
    int64_t until_us;
    pthread_mutex_t lock; /*  of `tree` and its times, for who watches                  */
    tree_t *tree;
    int64_t since_us;
    char wrong[700];
    pthread_t thread;
} worker_t;

static atomic_bool something_is_wrong;

static void watch (worker_t *worker, tree_t *tree)
{
    pthread_mutex_lock (&worker->lock);
    worker->tree = tree;
    worker->since_us = system_now_us ();
    pthread_mutex_unlock (&worker->lock);
}

static void run_tree (worker_t *worker, tree_t *tree)
{
    choose (tree);
    watch (worker, tree);
    if (plant (tree)) {
        live_and_end (tree);
        observer_finish (&tree->observer);
        await_books (tree);
        look_into (tree);
    }
    watch (worker, NULL);
    if (tree->wrong[0]) {
        snprintf (worker->wrong, sizeof worker->wrong, "worker %d, tree %d: %s", worker->number,
                  tree->number, tree->wrong);
        atomic_store (&something_is_wrong, true);
    }
    atomic_fetch_add (&total_trees, 1);
}

static void *run_trees (void *arg)
{
    worker_t *worker = arg;
    int only = (int) system_number ("TREE", 0);
    for (int i = only; system_now_us () < worker->until_us && !atomic_load (&something_is_wrong);
         i += only == 0) {
        tree_t *tree = calloc (1, sizeof *tree);
        if (!tree)
            abort ();
        tree->number = i;
        tree->seed = worker->seed + (uint64_t) worker->number * 1000003u + (uint64_t) i * 97u;
        run_tree (worker, tree);
        release (tree);
        free (tree);
    }
    return NULL;
}

/*  A call that never returns, or a tree that never ends, is told of here: nobody else could. */
static void look_for_stuck (worker_t *workers)
{
    for (int i = 0; i < WORKERS; i++) {
        worker_t *worker = &workers[i];
        pthread_mutex_lock (&worker->lock);
        bool is_stuck =
            worker->tree && system_now_us () - worker->since_us > (int64_t) STUCK_MS * 1000;
        if (is_stuck) {
            snprintf (worker->tree->wrong, sizeof worker->tree->wrong, "it is stuck");
            print_tree (worker->tree, 0);
            abort ();
        }
        pthread_mutex_unlock (&worker->lock);
    }
}

static void run_workers (worker_t *workers, uint64_t seed, uint64_t minutes)
{
    int64_t until_us = system_now_us () + (int64_t) minutes * 60 * 1000000;
    if (system_number ("SECONDS", 0))
        until_us = system_now_us () + (int64_t) system_number ("SECONDS", 0) * 1000000;
    for (int i = 0; i < WORKERS; i++) {
        workers[i] = (worker_t){.seed = seed, .number = i, .until_us = until_us};
        pthread_mutex_init (&workers[i].lock, NULL);
        if (pthread_create (&workers[i].thread, NULL, run_trees, &workers[i]))
            abort ();
    }
    while (system_now_us () < until_us && !atomic_load (&something_is_wrong)) {
        look_for_stuck (workers);
        poll (NULL, 0, 50);
    }
    for (int i = 0; i < WORKERS; i++) {
        pthread_join (workers[i].thread, NULL);
        pthread_mutex_destroy (&workers[i].lock);
    }
}

static void print_figures (void)
{
    static const char *const kinds[] = {"delay", "start", "shutdown", "handler", "hang"};
    const figures_t *all = &figures;
    print_message (
        "%llu trees, %llu components, %llu incarnations, %llu failures, %llu restarts, %llu "
        "handled, "
        "%llu hangs, %llu quarantined, %llu stops, %llu calls (%llu inside), %llu events, "
        "%llu to callbacks (%llu dropped, %llu ends cut), %llu snapshots; late at most",
        (unsigned long long) atomic_load (&total_trees),
        (unsigned long long) atomic_load (&total_components),
        (unsigned long long) all->incarnations, (unsigned long long) all->failures,
        (unsigned long long) all->restarts, (unsigned long long) all->handled,
        (unsigned long long) all->hangs, (unsigned long long) all->quarantined,
        (unsigned long long) all->stops, (unsigned long long) atomic_load (&total_calls),
        (unsigned long long) atomic_load (&total_inside), (unsigned long long) all->events,
        (unsigned long long) all->heard, (unsigned long long) all->dropped,
        (unsigned long long) all->tails_cut, (unsigned long long) all->snapshots);
    for (int i = 0; i < LATES; i++)
        print_message (" %s %lld us (%lld) of %llu%s", kinds[i], (long long) all->worst_us[i],
                       (long long) all->worst_net_us[i], (unsigned long long) all->count[i],
                       i + 1 < LATES ? "," : "");
    print_message ("; the machine %lld us, for a processor %lld us, for a thread %lld us\n",
                   (long long) machine.worst_us, (long long) machine.worst_wait_us,
                   (long long) machine.worst_thread_us);
}

/*  Whom the last tree has left behind is gone by now: the next supervisor has it freed. */
static void sweep (void)
{
    resil_supervisor_t *supervisor = resil_supervisor_new (NULL);
    resil_supervisor_destroy (&supervisor);
}

static void the_observer_finds_nothing_wrong (void **state)
{
    (void) state;
    uint64_t seed = system_number ("SEED", (uint64_t) system_now_us ());
    uint64_t minutes = system_number ("MINUTES", 10);
    print_message ("SEED=%llu MINUTES=%llu\n", (unsigned long long) seed,
                   (unsigned long long) minutes);
    resil_type_t type = {RESIL_TYPE, .name = "soaked", .start = live,
                         .handle_irrecoverable = handle};
    assert_int_equal (resil_type_register (&type), 0);
    type.name = "soaked too";
    assert_int_equal (resil_type_register (&type), 0);
    resil_log_level (RESIL_LOG_SILENT);
    static worker_t workers[WORKERS];
    machine_start ();
    run_workers (workers, seed, minutes);
    machine_stop ();
    sweep ();
    print_figures ();
    for (int i = 0; i < WORKERS; i++)
        if (workers[i].wrong[0])
            fail_msg ("SEED=%llu: %s", (unsigned long long) seed, workers[i].wrong);
    resil_log_level (RESIL_LOG_DEBUG);
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        support_case (the_observer_finds_nothing_wrong),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
