/*  SPDX-License-Identifier: Apache-2.0 */
#include "pipeline/figures.h"

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
    audit->resent += line->sender.resent;
    audit->duplicates += line->receiver.duplicates;
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
