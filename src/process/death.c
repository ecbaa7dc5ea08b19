/*  SPDX-License-Identifier: Apache-2.0 */
#include "process/death.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "foundation/text.h"
#include "shim/shim.h"

/*  From so much of a limit on it is near. */
#define NEAR_PERCENT 80

#define MIB (UINT64_C (1) << 20)

/*  A text that grows until its room is full. */
typedef struct {
    char *text;
    size_t room;
    size_t size;
} writer_t;

RESIL_PRINTF (2, 3) static void add (writer_t *to, const char *format, ...)
{
    va_list args;
    va_start (args, format);
    int length = vsnprintf (to->text + to->size, to->room - to->size, format, args);
    va_end (args);
    if (length > 0)
        to->size +=
            (size_t) length < to->room - to->size ? (size_t) length : to->room - to->size - 1;
}

/*  ---- What it means ---------------------------------------------------------------------- */

static bool is_success (int status, const resil_process_t *process)
{
    for (size_t i = 0; i < process->success_count; i++)
        if (process->success[i] == status)
            return true;
    return status == 0;
}

resil__outcome_t resil__death_judge (const resil__death_t *death, const resil_process_t *process)
{
    if (!death->is_known || !WIFEXITED (death->status))
        return RESIL__FAILED;
    int status = WEXITSTATUS (death->status);
    if (is_success (status, process))
        return RESIL__COMPLETED;
    return status == process->stay_down ? RESIL__IGNORED : RESIL__FAILED;
}

int resil__death_code (const resil__death_t *death)
{
    if (!death->is_known)
        return -1;
    return WIFEXITED (death->status) ? WEXITSTATUS (death->status) : WTERMSIG (death->status);
}

/*  ---- How it is told ------------------------------------------------------------------------ */

/*  What the crash handler says of the signal, behind its name; or NULL, it is about something else. */
static const char *place_of (const resil__death_t *death, const char *trace)
{
    char name[RESIL__SIGNAL_TEXT];
    if (!trace || !death->is_known || !WIFSIGNALED (death->status))
        return NULL;
    resil__text_signal (name, WTERMSIG (death->status));
    return strncmp (trace, name, strlen (name)) == 0 && strchr (" ,", trace[strlen (name)])
               ? trace + strlen (name)
               : NULL;
}

static void add_end (writer_t *to, const resil__death_t *death)
{
    if (!death->is_known) {
        add (to, "ended, and how is not known: something in this program waits for any child, or "
                 "ignores SIGCHLD");
        return;
    }
    if (WIFEXITED (death->status)) {
        add (to, "exited with status %d", WEXITSTATUS (death->status));
        return;
    }
    char name[RESIL__SIGNAL_TEXT];
    add (to, "killed by %s", resil__text_signal (name, WTERMSIG (death->status)));
    if (WCOREDUMP (death->status))
        add (to, " (core dumped)");
    if (death->is_out_of_memory)
        add (to, ", as the machine or its control group was out of memory");
}

static bool is_near (uint64_t used, uint64_t limit)
{
    return limit && used >= limit / 100 * NEAR_PERCENT;
}

static void add_limits (writer_t *to, const resil__death_t *death,
                        const resil_process_limits_t *limits)
{
    if (is_near (death->peak_bytes, limits->memory_bytes))
        add (to, ", near its limit of memory: %" PRIu64 " of %" PRIu64 " MiB",
             (death->peak_bytes + MIB / 2) / MIB, limits->memory_bytes / MIB);
    if (is_near ((uint64_t) death->cpu_us, limits->cpu_seconds * 1000000))
        add (to, ", near its limit of CPU time: %.1f of %" PRIu64 " s",
             (double) death->cpu_us / 1e6, limits->cpu_seconds);
}

/*  Lines as one: what stands between them is `comma`. */
static void add_lines (writer_t *to, const char *lines, size_t size, const char *comma)
{
    while (size > 0) {
        const char *newline = memchr (lines, '\n', size);
        size_t line = newline ? (size_t) (newline - lines) : size;
        add (to, "%.*s", (int) line, lines);
        size_t taken = newline ? line + 1 : line;
        lines += taken;
        size -= taken;
        if (size > 0)
            add (to, "%s", comma);
    }
}

/*  Frames, as long as `reserve` bytes are left for what comes after them: the last words say more than the outermost
    callers. */
static void add_trace (writer_t *to, const char *trace, size_t reserve)
{
    static const char cut[] = ", ...";
    const char *comma = "; ";
    while (*trace) {
        size_t line = strcspn (trace, "\n");
        if (to->size + strlen (comma) + line + sizeof cut + reserve > to->room) {
            add (to, "%s", *comma == ',' ? cut : "");
            return;
        }
        add (to, "%s%.*s", comma, (int) line, trace);
        trace += trace[line] ? line + 1 : line;
        comma = ", ";
    }
}

void resil__death_describe (char *text, size_t room, const resil__death_t *death,
                            const resil_process_limits_t *limits, const char *trace,
                            const resil__tail_t *tail)
{
    writer_t to = {text, room, 0};
    *text = 0;
    const char *place = place_of (death, trace);
    add_end (&to, death);
    if (place) {
        size_t line = strcspn (place, "\n");
        add (&to, "%.*s", (int) line, place);
        trace = place[line] ? place + line + 1 : "";
    }
    add_limits (&to, death, limits);
    static const char last[] = "; last on stderr: ";
    bool has_last = tail && tail->size > 0;
    size_t words = has_last ? sizeof last + 3 * tail->size : 0;
    if (trace)
        add_trace (&to, trace, words < room / 2 ? words : room / 2);
    if (has_last) {
        add (&to, "%s", last);
        add_lines (&to, tail->text, tail->size, " | ");
    }
}

/*  ---- A start that failed --------------------------------------------------------------------- */

void resil__shim_describe (char *text, size_t room, int step, int error,
                           const resil_process_t *process)
{
    const resil_process_limits_t *limits = &process->limits;
    const char *why = strerror (error);
    const char *program = process->command ? process->command[0] : "/proc/self/exe";
    switch (step) {
    case RESIL__SHIM_MEMORY:
        snprintf (text, room, "the memory limit cannot be set to %" PRIu64 " bytes: %s",
                  limits->memory_bytes, why);
        break;
    case RESIL__SHIM_CPU:
        snprintf (text, room, "the limit of CPU time cannot be set to %" PRIu64 " s: %s",
                  limits->cpu_seconds, why);
        break;
    case RESIL__SHIM_FILES:
        snprintf (text, room, "the limit of descriptors cannot be set to %" PRIu64 ": %s",
                  limits->descriptors, why);
        break;
    case RESIL__SHIM_CORE:
        snprintf (text, room, "the limit of core files cannot be set to %" PRIi64 " bytes: %s",
                  limits->core_bytes, why);
        break;
    case RESIL__SHIM_NICE:
        snprintf (text, room, "the niceness cannot be changed by %d: %s", limits->nice, why);
        break;
    case RESIL__SHIM_GROUPS:
    case RESIL__SHIM_GROUP:
    case RESIL__SHIM_USER:
        snprintf (text, room, "cannot become %s \"%s\": %s%s", process->user ? "user" : "group",
                  process->user ? process->user : process->group, why,
                  error == EPERM ? "; that takes a privilege (run as root)" : "");
        break;
    case RESIL__SHIM_DIRECTORY:
        snprintf (text, room, "cannot start in directory \"%s\": %s", process->directory, why);
        break;
    case RESIL__SHIM_EXEC:
        snprintf (text, room, "cannot run \"%s\": %s%s", program, why,
                  error == ENOENT && !strchr (program, '/') ? " (it is looked for in PATH)"
                  : error == ENOEXEC ? " (it is of another machine, or broken)"
                                     : "");
        break;
    case RESIL__SHIM_INTERPRETER:
        snprintf (text, room,
                  "cannot run \"%s\": it is there, but what it is to be run by (the interpreter of "
                  "its first line, or its loader) is not",
                  program);
        break;
    case RESIL__SHIM_WORDS:
        snprintf (text, room,
                  "resil-shim is of another version than the library; install both, or set "
                  "RESIL_SHIM to the right one");
        break;
    default:
        snprintf (text, room, "its process cannot be prepared: %s", why);
        break;
    }
}
