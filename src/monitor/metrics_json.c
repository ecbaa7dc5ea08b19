/*  SPDX-License-Identifier: Apache-2.0 */
#include "monitor/metrics_json.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "component/error.h"

/*  ---- What the kernel says --------------------------------------------------------------------------- */

/*  The kernel's number for the time that another thread, or process, has had on a core (clock_getcpuclockid(3)). */
static clockid_t clock_of (int id, bool is_process)
{
    enum { TIME_ON_CORE = 2, OF_THREAD = 4 };
    return (clockid_t) (~(unsigned) id << 3 | TIME_ON_CORE | (is_process ? 0u : OF_THREAD));
}

static int64_t resident_bytes_of (int process)
{
    char name[32];
    long long pages = -1;
    snprintf (name, sizeof name, "/proc/%d/statm", process);
    FILE *file = fopen (name, "re");
    if (!file)
        return -1;
    if (fscanf (file, "%*s %lld", &pages) != 1)
        pages = -1;
    fclose (file);
    return pages < 0 ? -1 : pages * sysconf (_SC_PAGESIZE);
}

resil__usage_t resil__usage_of (const resil__reading_t *reading)
{
    resil__usage_t usage = {-1, -1};
    struct timespec time;
    if (!reading->thread_id)
        return usage;
    if (clock_gettime (clock_of (reading->thread_id, reading->is_process), &time) == 0)
        usage.cpu_us = (int64_t) time.tv_sec * 1000000 + time.tv_nsec / 1000;
    if (reading->is_process)
        usage.rss_bytes = resident_bytes_of (reading->thread_id);
    return usage;
}

/*  ---- As JSON ------------------------------------------------------------------------------------------ */

static void put_meter (resil__json_t *json, const resil__meter_t *meter, bool is_supervisor)
{
    if (!is_supervisor) {
        resil__json_count (json, "progress_total", meter->progress);
        resil__json_count (json, "reports_dropped_total", meter->reports_dropped);
    }
    resil__json_open (json, "restarts_by_cause", '{');
    for (resil_error_kind_t kind = RESIL_ERROR_REPORTED; kind < RESIL__CAUSES; kind++)
        if (meter->restarts_by[kind])
            resil__json_count (json, resil_error_kind_name (&(resil_error_t){.kind = kind}),
                               meter->restarts_by[kind]);
    resil__json_close (json, '}');
    resil__json_open (json, "state_us", '{');
    for (resil_state_t state = RESIL_DOWN; state < RESIL__STATES; state++)
        resil__json_number (json, resil_state_name (state), meter->state_us[state]);
    resil__json_close (json, '}');
    resil__histogram_json (json, "restart_latency_us", &meter->restart);
    resil__histogram_json (json, "ready_latency_us", &meter->ready);
}

static void put_mail (resil__json_t *json, const resil__mailbox_books_t *mail, int64_t at_us)
{
    int64_t age_us = mail->oldest_at_us ? at_us - mail->oldest_at_us : 0;
    resil__json_open (json, "mail", '{');
    resil__json_count (json, "sent", mail->sent);
    resil__json_count (json, "handled", mail->handled);
    resil__json_count (json, "lost", mail->lost);
    resil__json_count (json, "waiting", mail->waiting);
    resil__json_count (json, "waiting_bytes", mail->waiting_bytes);
    resil__json_number (json, "oldest_us", age_us > 0 ? age_us : 0);
    resil__json_close (json, '}');
}

static void put_if_known (resil__json_t *json, const char *key, int64_t value)
{
    if (value >= 0)
        resil__json_number (json, key, value);
}

void resil__metrics_json (resil__json_t *json, const resil__reading_t *reading,
                          const resil__usage_t *usage, int64_t at_us)
{
    resil__json_text (json, "path", reading->path);
    resil__json_true_if (json, "supervisor", reading->is_supervisor);
    resil__json_text (json, "state", resil_state_name (reading->state));
    resil__json_true_if (json, "done", reading->is_done);
    resil__json_count (json, "incarnation", reading->incarnation);
    resil__json_count (json, "restarts_total", reading->restarts);
    put_if_known (json, "uptime_us", reading->up_us);
    if (reading->is_supervisor) {
        resil__json_count (json, "restarts_in_window", reading->restarts_in_window);
        resil__json_count (json, "children", reading->children);
        resil__json_count (json, "quarantined", reading->quarantined);
    }
    else
        put_mail (json, &reading->mail, at_us);
    if (reading->pipeline)
        resil__json_raw (json, "pipeline", reading->pipeline, strlen (reading->pipeline));
    put_if_known (json, "cpu_us", usage->cpu_us);
    put_if_known (json, "rss_bytes", usage->rss_bytes);
    if (reading->has_meter)
        put_meter (json, &reading->meter, reading->is_supervisor);
}
