/*  SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <langinfo.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "tools/text.h"
#include "tools/tool.h"

/*  ---- Saying ------------------------------------------------------------------------------- */

int tool_fail (tool_exit_t status, const char *format, ...)
{
    char *text = NULL, *clean = NULL;
    va_list args;
    va_start (args, format);
    if (vasprintf (&text, format, args) >= 0)
        clean = tool_clean (text);
    va_end (args);
    fflush (stdout);
    fprintf (stderr, "resil: %s\n", clean ? clean : "no memory");
    free (clean);
    free (text);
    return status;
}

int tool_fail_errno (void)
{
    switch (errno) {
    case EINVAL:
    case EEXIST:
        return tool_fail (TOOL_USAGE, "%s", resil_errmsg ());
    case EACCES:
        return tool_fail (TOOL_REFUSED, "%s", resil_errmsg ());
    case ENOMEM:
    case EMFILE:
    case EINTR:
        return tool_fail (TOOL_FAILED, "%s", resil_errmsg ());
    default:
        return tool_fail (TOOL_UNREACHABLE, "%s", resil_errmsg ());
    }
}

int tool_fail_reply (const tool_session_t *session, const resil_reply_t *reply)
{
    static const struct {
        const char *kind;
        tool_exit_t status;
    } statuses[] = {
        {"bad_request", TOOL_USAGE}, {"unknown_path", TOOL_UNKNOWN}, {"refused", TOOL_REFUSED},
        {"conflict", TOOL_CONFLICT}, {"timeout", TOOL_UNREACHABLE},  {"busy", TOOL_UNREACHABLE},
        {"gone", TOOL_UNREACHABLE},  {"version", TOOL_UNREACHABLE},
    };
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
        if (strcmp (statuses[i].kind, reply->kind) == 0 && statuses[i].status == TOOL_UNREACHABLE)
            return tool_fail (TOOL_UNREACHABLE, "%s: %s",
                              resil_program_info (session->program)->endpoint, reply->text);
        else if (strcmp (statuses[i].kind, reply->kind) == 0)
            return tool_fail (statuses[i].status, "%s", reply->text);
    return tool_fail (TOOL_FAILED, "%s", reply->text);
}

/*  ---- A program ---------------------------------------------------------------------------- */

int64_t tool_now_ms (void)
{
    struct timespec now;
    clock_gettime (CLOCK_MONOTONIC, &now);
    return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t tool_time_left_ms (const tool_arguments_t *arguments)
{
    int64_t left_ms = arguments->started_ms + arguments->timeout_ms - tool_now_ms ();
    return left_ms > 0 ? left_ms : 0;
}

resil_watcher_t *tool_watcher (const tool_arguments_t *arguments, int interrupt, int *status)
{
    resil_watcher_options_t options = {RESIL_WATCHER_OPTIONS};
    options.key = arguments->key;
    options.server_key = arguments->server_key;
    options.interrupt = interrupt;
    options.refresh_ms = 1000;
    resil_watcher_t *watcher = resil_watcher_new (&options);
    if (!watcher)
        *status = tool_fail_errno ();
    return watcher;
}

/*  0, or -1 with errno. */
static int reach (tool_session_t *self)
{
    self->program = resil_watcher_add (self->watcher, self->arguments->endpoints[0]);
    if (self->program &&
        resil_program_join (self->program, tool_time_left_ms (self->arguments)) == 0)
        return 0;
    int error = errno;
    resil_watcher_remove (self->watcher, &self->program);
    errno = error;
    return -1;
}

/*  It is not there, which may change. */
static bool may_come (void)
{
    return errno == ENOENT || errno == ECONNREFUSED;
}

static int begin (tool_session_t *self, const tool_arguments_t *arguments, bool is_patient)
{
    int status = TOOL_OK, rc;
    *self = (tool_session_t){.arguments = arguments};
    self->watcher = tool_watcher (arguments, -1, &status);
    if (!self->watcher)
        return status;
    while ((rc = reach (self)) && is_patient && may_come () && tool_time_left_ms (arguments)) {
        struct timespec pause = {.tv_nsec = 20000000};
        nanosleep (&pause, NULL);
    }
    if (rc) {
        status = tool_fail_errno ();
        tool_end (self);
    }
    return status;
}

int tool_begin (tool_session_t *self, const tool_arguments_t *arguments)
{
    return begin (self, arguments, false);
}

int tool_begin_patiently (tool_session_t *self, const tool_arguments_t *arguments)
{
    return begin (self, arguments, true);
}

void tool_end (tool_session_t *self)
{
    resil_watcher_destroy (&self->watcher);
}

json_t *tool_ask (tool_session_t *self, const char *what, const char *path, json_t *fields,
                  int *status)
{
    char *text = fields ? json_dumps (fields, JSON_COMPACT) : NULL;
    json_decref (fields);
    const resil_reply_t *reply =
        resil_program_call (self->program, what, path, text, tool_time_left_ms (self->arguments));
    free (text);
    if (!reply) {
        *status = tool_fail_errno ();
        return NULL;
    }
    if (!reply->ok) {
        *status = tool_fail_reply (self, reply);
        return NULL;
    }
    json_t *result = json_loads (reply->result, 0, NULL);
    if (!result)
        *status = tool_fail (TOOL_FAILED, "the answer to \"%s\" cannot be read", what);
    return result;
}

/*  ---- Signals ------------------------------------------------------------------------------ */

static volatile sig_atomic_t told_to_end;

static void note_signal (int signal_number)
{
    told_to_end = signal_number;
}

void tool_take_signals (void)
{
    struct sigaction action = {.sa_handler = note_signal}; /*  not restarted: it ends the wait  */
    sigaction (SIGINT, &action, NULL);
    sigaction (SIGTERM, &action, NULL);
    sigaction (SIGHUP, &action, NULL);
}

bool tool_is_told_to_end (void)
{
    return told_to_end != 0;
}

/*  ---- Printing ----------------------------------------------------------------------------- */

bool tool_is_terminal (void)
{
    return isatty (STDOUT_FILENO);
}

bool tool_has_colour (void)
{
    const char *terminal = getenv ("TERM"), *none = getenv ("NO_COLOR");
    return tool_is_terminal () && (!none || !*none) && terminal && strcmp (terminal, "dumb") != 0;
}

bool tool_has_utf8 (void)
{
    return strcmp (nl_langinfo (CODESET), "UTF-8") == 0;
}

static size_t terminal_columns (void)
{
    struct winsize size;
    if (!tool_is_terminal () || ioctl (STDOUT_FILENO, TIOCGWINSZ, &size) || size.ws_col < 20)
        return 0;
    return size.ws_col;
}

void tool_print_table (tool_table_t **table)
{
    char *text = tool_table_text (*table, terminal_columns (), tool_has_colour ());
    if (text)
        fputs (text, stdout);
    else
        tool_fail (TOOL_FAILED, "no memory for the table");
    free (text);
    tool_table_destroy (table);
}

static void print_value (const json_t *value, size_t flags)
{
    /*  On a terminal nothing is sent that is not ASCII and might act: JSON can say it all so. */
    char *text =
        json_dumps (value, flags | JSON_ENCODE_ANY | (tool_is_terminal () ? JSON_ENSURE_ASCII : 0));
    if (text)
        puts (text);
    free (text);
}

void tool_print_json (const tool_arguments_t *arguments, const json_t *value)
{
    if (arguments->output != TOOL_JSONL)
        print_value (value, JSON_INDENT (2));
    else if (json_is_array (value))
        for (size_t i = 0; i < json_array_size (value); i++)
            print_value (json_array_get (value, i), JSON_COMPACT);
    else
        print_value (value, JSON_COMPACT);
}

void tool_print_text (const char *text)
{
    size_t size = strlen (text);
    char *clean = tool_is_terminal () ? tool_clean (text) : NULL;
    fputs (clean ? clean : text, stdout);
    if (clean || !size || text[size - 1] != '\n')
        putchar ('\n');
    free (clean);
}
