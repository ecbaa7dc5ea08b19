/*  SPDX-License-Identifier: Apache-2.0 */
#include "pipeline/figures.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "foundation/histogram.h"

static void add_worker (resil_audit_t *audit, const resil__worker_t *worker)
{
    audit->in += worker->audit.in;
    audit->done += worker->audit.done;
    audit->dropped += worker->audit.dropped;
    audit->dead += worker->audit.dead;
    audit->in_flight += resil__worker_in_flight (worker);
    audit->emitted += worker->audit.emitted;
    audit->retries += worker->audit.retries;
    audit->failures += worker->audit.failures;
    audit->replayed += worker->audit.replayed;
    audit->deferred += worker->deferrals.lists[RESIL__OPEN].count + worker->deferred_afar;
    audit->waiting += worker->input_count ? resil__worker_waiting (worker) : 0;
    resil__histogram_merge (&audit->latency, &worker->audit.latency);
}

void resil__audit_stage (resil__flow_t *flow, size_t stage, resil_audit_t *audit)
{
    const resil__worker_t *workers = resil__flow_workers (flow, stage);
    *audit = (resil_audit_t){0};
    resil__flow_lock (flow);
    for (unsigned i = 0; i < flow->plan->stages[stage].spec.workers; i++)
        add_worker (audit, &workers[i]);
    resil__flow_unlock (flow);
}

static size_t count_lines (const resil__plan_t *plan, const resil__plan_link_t *link)
{
    return (size_t) plan->stages[link->from].spec.workers * plan->stages[link->to].spec.workers;
}

static void add_line (resil__flow_t *flow, resil_link_audit_t *audit, const resil__line_t *line)
{
    audit->in_flight += line->in_flight;
    audit->retained_bytes += atomic_load_explicit (&line->load, memory_order_relaxed);
    audit->stalls += line->stalls;
    audit->stalled_us += line->stalled_us;
    if (line->stalled_at_us)
        audit->stalled_us += resil__flow_now_us (flow) - line->stalled_at_us;
    audit->resent += line->resent;
    audit->duplicates += line->duplicates;
}

void resil__audit_link (resil__flow_t *flow, size_t number, resil_link_audit_t *audit)
{
    const resil__plan_t *plan = flow->plan;
    const resil__plan_link_t *link = &plan->links[number];
    const resil__line_t *line = flow->lines;
    size_t count = count_lines (plan, link);
    for (size_t i = 0; i < number; i++)
        line += count_lines (plan, &plan->links[i]);
    *audit = (resil_link_audit_t){.from = plan->stages[link->from].spec.name,
                                  .port = link->spec.port,
                                  .to = plan->stages[link->to].spec.name,
                                  .share = link->spec.share,
                                  .window_bytes = count * link->spec.window_bytes};
    resil__flow_lock (flow);
    for (size_t i = 0; i < count; i++)
        add_line (flow, audit, &line[i]);
    resil__flow_unlock (flow);
}

/*  ---- As JSON --------------------------------------------------------------------------------------- */

/*  Who works for it: the names of components. */
static void put_seats (resil__json_t *json, const resil__core_t *core,
                       const resil__plan_stage_t *stage)
{
    resil__json_open (json, "components", '[');
    for (size_t i = 0; i < core->seat_count; i++)
        for (size_t w = 0; w < core->seats[i].worker_count; w++)
            if (core->seats[i].workers[w]->stage == stage)
                resil__json_text (json, NULL, core->seats[i].name);
    resil__json_close (json, ']');
}

/*  Is it paused; has it ended? */
static void put_condition (resil__json_t *json, resil__flow_t *flow, size_t number)
{
    const resil__worker_t *workers = resil__flow_workers (flow, number);
    bool is_paused = false, is_ended = true;
    resil__flow_lock (flow);
    for (unsigned i = 0; i < flow->plan->stages[number].spec.workers; i++) {
        is_paused |= atomic_load (&workers[i].is_paused);
        is_ended &= resil__worker_is_finished (&workers[i]);
    }
    resil__flow_unlock (flow);
    resil__json_true_if (json, "paused", is_paused);
    resil__json_true_if (json, "ended", is_ended);
}

static void put_stage (resil__json_t *json, resil__core_t *core, size_t number)
{
    const resil__plan_stage_t *stage = &core->plan->stages[number];
    resil_audit_t audit;
    resil__audit_stage (&core->flow, number, &audit);
    resil__json_open (json, NULL, '{');
    resil__json_text (json, "name", stage->spec.name);
    resil__json_text (json, "type", stage->type->name);
    resil__json_true_if (json, "source", stage->type->produce);
    resil__json_true_if (json, "sink", stage->type->is_sink);
    put_seats (json, core, stage);
    put_condition (json, &core->flow, number);
    resil__json_count (json, "in", audit.in);
    resil__json_count (json, "done", audit.done);
    resil__json_count (json, "dropped", audit.dropped);
    resil__json_count (json, "dead", audit.dead);
    resil__json_count (json, "in_flight", audit.in_flight);
    resil__json_count (json, "waiting", audit.waiting);
    resil__json_count (json, "deferred", audit.deferred);
    resil__json_count (json, "emitted", audit.emitted);
    resil__json_count (json, "retries", audit.retries);
    resil__json_count (json, "failures", audit.failures);
    resil__json_count (json, "replayed", audit.replayed);
    resil__histogram_json (json, "latency_us", &audit.latency);
    resil__json_close (json, '}');
}

static void put_link (resil__json_t *json, resil__core_t *core, size_t number)
{
    static const char *const shares[] = {[RESIL_SHARE_ROUND_ROBIN] = "round robin",
                                         [RESIL_SHARE_MOST_CREDIT] = "most credit",
                                         [RESIL_SHARE_BY_KEY] = "by key",
                                         [RESIL_SHARE_BROADCAST] = "broadcast"};
    resil_link_audit_t audit;
    resil__audit_link (&core->flow, number, &audit);
    resil__json_open (json, NULL, '{');
    resil__json_text (json, "from", audit.from);
    resil__json_text_if (json, "port", audit.port);
    resil__json_text (json, "to", audit.to);
    resil__json_text (json, "share", shares[audit.share]);
    resil__json_count (json, "in_flight", audit.in_flight);
    resil__json_count (json, "retained_bytes", audit.retained_bytes);
    resil__json_count (json, "window_bytes", audit.window_bytes);
    resil__json_count (json, "stalls", audit.stalls);
    resil__json_number (json, "stalled_us", audit.stalled_us);
    resil__json_count (json, "resent", audit.resent);
    resil__json_count (json, "duplicates", audit.duplicates);
    resil__json_close (json, '}');
}

char *resil__pipeline_json (resil__core_t *core)
{
    resil__json_t json = {0};
    resil__json_open (&json, NULL, '{');
    resil__json_open (&json, "stages", '[');
    for (size_t i = 0; i < core->plan->stage_count; i++)
        put_stage (&json, core, i);
    resil__json_close (&json, ']');
    resil__json_open (&json, "links", '[');
    for (size_t i = 0; i < core->plan->link_count; i++)
        put_link (&json, core, i);
    resil__json_close (&json, ']');
    resil__json_close (&json, '}');
    char *text = json.failed ? NULL : strndup (json.text, json.size);
    resil__json_release (&json);
    return text;
}

void resil__pipeline_sum_up (resil__core_t *core, char *text, size_t room)
{
    resil_audit_t audit, all = {0};
    for (size_t i = 0; i < core->plan->stage_count; i++) {
        resil__audit_stage (&core->flow, i, &audit);
        all.dropped += audit.dropped;
        all.dead += audit.dead;
        if (!core->plan->stages[i].type->produce)
            continue;
        all.in += audit.in;
        all.done += audit.done;
    }
    snprintf (text, room,
              "%" PRIu64 " of %" PRIu64 " records done, %" PRIu64 " dropped, %" PRIu64 " dead",
              all.done, all.in, all.dropped, all.dead);
}
