/*  Hang detection. A component that is up has to make progress within its hang deadline; it dates each
    progress itself, so that nobody has to look often. Its timer fires when it has made none for most of
    the deadline: then the time of its thread on a core is noted. It fires again at the deadline, and
    from the difference one that spins is told from one that is blocked.

    A timer that is due earlier than it need be is left alone, so that a restart does not move it.

    SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "foundation/clock.h"
#include "foundation/errmsg.h"
#include "foundation/task.h"
#include "supervisor/state.h"

/*  Timers are due at multiples of this, so that those of many components are due together. */
#define GRID_US 10000

/*  A timer that fires this late proves nothing: the supervisor itself was not scheduled, and
    perhaps the component neither. */
#define LATE_US 100000

/*  What is known of its time on a core counts from so short a while on. */
#define SHORTEST_SAMPLE_US 2000

/*  NULL: it is not watched. */
static resil__watch_t *watch_of (const resil__child_t *child)
{
    return child->dossier ? child->dossier->watch : NULL;
}

static void set (resil__child_t *child, int64_t due_us)
{
    int64_t on_grid_us = (due_us + GRID_US - 1) / GRID_US * GRID_US;
    resil__heap_set (&child->supervisor->tree->heap, &watch_of (child)->timer, on_grid_us);
}

/*  After so long without progress it is suspicious. */
static int64_t patience_us (const resil__child_t *child)
{
    return child->spec->is->hang_ms * 750;
}

void resil__hang_watch (resil__child_t *child, int64_t at_us)
{
    resil__watch_t *watch = watch_of (child);
    if (!watch)
        return;
    watch->from_us = at_us;
    watch->sampled_at_us = 0;
    if (child->spec->is->hang_ms >= 0 && watch->timer.place == 0)
        set (child, at_us + patience_us (child));
}

void resil__hang_forget (resil__child_t *child)
{
    resil__watch_t *watch = watch_of (child);
    if (watch)
        resil__heap_set (&child->supervisor->tree->heap, &watch->timer, RESIL__NEVER);
}

void resil__hang_spec_changed (resil__child_t *child)
{
    resil__hang_forget (child);
    if (child->phase == RESIL__UP)
        resil__hang_watch (child, child->supervisor->tree->now_us);
}

static void sample (resil__child_t *child, int64_t now_us)
{
    resil__watch_t *watch = watch_of (child);
    watch->sampled_at_us = now_us;
    watch->sampled_cpu_us = resil__runner_cpu_us (child->runner);
}

/*  What it had of a core since the sample; -1: not known. */
static int percent_of_core (const resil__child_t *child, int64_t now_us)
{
    const resil__watch_t *watch = watch_of (child);
    int64_t cpu_us = resil__runner_cpu_us (child->runner);
    int64_t wall_us = now_us - watch->sampled_at_us;
    if (watch->sampled_at_us == 0 || watch->sampled_cpu_us < 0 || cpu_us < 0 ||
        wall_us < SHORTEST_SAMPLE_US)
        return -1;
    int64_t percent = (cpu_us - watch->sampled_cpu_us) * 100 / wall_us;
    return percent < 100 ? (int) percent : 100;
}

static void hangs (resil__child_t *child, int64_t now_us)
{
    uint64_t incarnation = child->incarnation;
    resil__child_serve (child);
    resil__child_close_grant (child);
    if (child->phase != RESIL__UP)
        return;
    if (child->incarnation != incarnation) {
        resil__child_open_grant (child);
        set (child, watch_of (child)->from_us + patience_us (child));
        return;
    }
    resil__life_t life = resil__child_life (child);
    resil__task_describe (life.thread_id, life.is_process,
                          percent_of_core (child, resil__now_us ()), watch_of (child)->doing);
    resil__child_event (child, RESIL__HUNG, now_us);
}

/*  Who waits does not hang, unless it is a process that has been stopped: it would not wake. That may be for a moment
    only, so it is looked at twice. */
static int64_t look_at_waiting (resil__child_t *child, const resil__life_t *life, int64_t now_us)
{
    bool is_stopped = life->is_process && resil__task_is_stopped (life->thread_id);
    resil__watch_t *watch = watch_of (child);
    bool was_stopped = watch->sampled_at_us != 0;
    watch->sampled_at_us = 0;
    if (!is_stopped)
        return now_us + patience_us (child);
    if (was_stopped)
        return 0;
    sample (child, now_us);
    return now_us + child->spec->is->hang_ms * 1000 - patience_us (child);
}

/*  When to look again; 0: now it hangs. */
static int64_t look (resil__child_t *child, int64_t now_us)
{
    resil__life_t life = resil__runner_life (child->runner);
    resil__watch_t *watch = watch_of (child);
    int64_t moved_us = life.moved_at_us > watch->from_us ? life.moved_at_us : watch->from_us;
    int64_t deadline_us = moved_us + child->spec->is->hang_ms * 1000 + RESIL__COARSE_US;
    int64_t suspicious_us = moved_us + patience_us (child);
    if (life.waiting)
        return look_at_waiting (child, &life, now_us);
    bool is_suspicious = now_us >= suspicious_us;
    if (is_suspicious && watch->sampled_at_us > moved_us)
        return now_us < deadline_us ? deadline_us : 0;
    watch->sampled_at_us = 0;
    if (!is_suspicious)
        return suspicious_us;
    sample (child, now_us);
    return now_us + SHORTEST_SAMPLE_US < deadline_us ? deadline_us : now_us + SHORTEST_SAMPLE_US;
}

void resil__hang_due (resil__timer_t *timer)
{
    resil__child_t *child = ((resil__watch_t *) timer)->child;
    int64_t now_us = child->supervisor->tree->now_us;
    bool is_late = now_us - timer->due_us > LATE_US;
    resil__heap_set (&child->supervisor->tree->heap, timer, RESIL__NEVER);
    if (child->phase != RESIL__UP || child->spec->is->hang_ms < 0)
        return;
    if (is_late) {
        resil__hang_watch (child, now_us);
        return;
    }
    int64_t again_us = look (child, now_us);
    if (again_us)
        set (child, again_us);
    else
        hangs (child, now_us);
}

/*  ---- What it takes ---------------------------------------------------------------------- */

static resil__watch_t *need_watch (resil__child_t *child)
{
    resil__dossier_t *dossier = resil__dossier_need (child);
    if (!dossier || dossier->watch)
        return watch_of (child);
    resil__watch_t *watch = dossier->watch = calloc (1, sizeof *watch);
    if (watch) {
        watch->child = child;
        watch->timer = (resil__timer_t){.due_us = RESIL__NEVER, .fire = resil__hang_due};
    }
    return watch;
}

int resil__hang_prepare (resil__child_t *child, const resil__spec_t *spec)
{
    return spec->is->hang_ms < 0 || need_watch (child)
               ? 0
               : resil__refuse (ENOMEM, "no memory to watch component \"%s\"", spec->name);
}

/*  ---- What its thread does ------------------------------------------------------------------ */

void resil__hang_renew (resil__child_t *child)
{
    resil__watch_t *watch = watch_of (child);
    if (watch)
        watch->doing[0] = 0;
}

/*  Without memory nobody sees it. */
void resil__hang_see (resil__child_t *child)
{
    resil__watch_t *watch = need_watch (child);
    resil__life_t life = resil__child_life (child);
    if (watch && !*watch->doing)
        resil__task_describe (life.thread_id, life.is_process, -1, watch->doing);
}

const char *resil__hang_seen (const resil__child_t *child)
{
    const resil__watch_t *watch = watch_of (child);
    return watch ? watch->doing : "";
}
