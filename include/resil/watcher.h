/*  Watching programs from outside: what runs in them, what happens to it, and having it done
    otherwise.

    A watcher speaks with the monitors of one or several programs, of this machine or of others. Of
    each it keeps a picture: all components and supervisors, how they stand, right at a sequence
    number of the program's events and brought on by each event that follows. What was lost on the
    way is noticed, and had again from the program; if the program itself has it no more, that is
    said and the picture is made anew. So the picture is right whenever there is one.

        resil_watcher_t *watcher = resil_watcher_new (NULL);
        resil_program_t *program = NULL;
        if (watcher)
            program = resil_watcher_add (watcher, "tcp://10.0.0.7:7350");
        const resil_notice_t *notice;
        while (program && (notice = resil_watcher_next (watcher, RESIL_FOREVER)))
            if (notice->kind == RESIL_NOTICE_EVENT)
                printf ("%s: %s\n", notice->event->path, notice->event->type);

    No supervisor is needed in the program that watches. A watcher has no thread: it works in the
    calls below, all of which belong to one thread at a time.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_WATCHER_H
#define RESIL_WATCHER_H

#include <resil/snapshot.h>

/*  Watches programs. It belongs to who made it, and to one thread at a time. */
typedef struct _resil_watcher_t resil_watcher_t;

/*  A program that is watched. It belongs to its watcher. */
typedef struct _resil_program_t resil_program_t;

/*  Begin with RESIL_WATCHER_OPTIONS, which carries the defaults; zero means zero. */
typedef struct {
    size_t size;            /*  of this struct; set by RESIL_WATCHER_OPTIONS                    */
    const char *key;        /*  file with the watcher's own key pair, for programs that want keys;
                                NULL: what RESIL_KEY in the environment names, or none          */
    const char *server_key; /*  the program's public key, 40 characters of Z85; NULL: what
                                RESIL_SERVER_KEY in the environment has, or none                */
    int64_t request_ms;     /*  the watcher's own requests are made again after this; 5000       */
    int64_t refresh_ms;     /*  counters that events do not tell (restarts, ...) are had anew so
                                long after something has happened, and again and again if there
                                are pipelines; RESIL_FOREVER, the default: never                */
    int interrupt;          /*  a descriptor: when it can be read, resil_watcher_next returns with
                                EINTR; -1: none                                                 */
} resil_watcher_options_t;

/*  Begins a resil_watcher_options_t: `resil_watcher_options_t options =
    {RESIL_WATCHER_OPTIONS};`. */
#define RESIL_WATCHER_OPTIONS                                                                      \
    .size = sizeof (resil_watcher_options_t), .request_ms = 5000, .refresh_ms = RESIL_FOREVER,     \
    .interrupt = -1

/*  How a watcher stands with a program. */
typedef enum {
    RESIL_LINK_SEEKING = 1, /*  nothing has been heard of it yet                                */
    RESIL_LINK_JOINING,     /*  it is there; its picture is on its way                          */
    RESIL_LINK_FOLLOWING,   /*  there is a picture, and it is right                             */
    RESIL_LINK_SILENT,      /*  three beats are missing: the picture is that of then            */
    RESIL_LINK_REFUSED      /*  it cannot be watched: it speaks another version, or refuses      */
} resil_link_t;

/*  A program, as it is known now. What is not known yet is "" or 0. Valid until the next call that
    takes the watcher. */
typedef struct {
    const char *endpoint; /*  where its events are had: "tcp://10.0.0.7:7350"                   */
    const char *name;     /*  what it is called                                                 */
    const char *host;     /*  where it runs                                                     */
    int pid;              /*  its process                                                       */
    const char *root;     /*  the path of the root of its tree: "/app"                          */
    const char *run;      /*  of this run of the tree: 32 hexadecimal digits                     */
    const char *version;  /*  of its resil: "0.1.0"                                             */
    const char *role;     /*  what this watcher may do: "viewer", "operator", "admin"           */
    const char *by;       /*  what this watcher is called there                                  */
    resil_link_t link;    /*  how the watcher stands with it                                    */
    const char *why;      /*  of REFUSED: a sentence                                             */
    uint64_t sequence;    /*  the last event that the picture shows                             */
    uint64_t lost;        /*  events that could not be had again, in all                        */
    uint64_t filled;      /*  events that were lost on the way and had again, in all            */
    uint64_t runs;        /*  how many runs of it have been seen                                */
    int64_t now_us;       /*  what its clock (CLOCK_MONOTONIC) says now, about                  */
    int64_t uptime_us;    /*  how long its tree has been there                                  */
    int64_t heard_us;     /*  how long ago something came from it; -1: never                    */
} resil_program_info_t;

/*  The error that was the cause of something. No text is NULL. */
typedef struct {
    const char *kind;     /*  "reported", "panicked", ...: see resil_error_kind_name            */
    int code;             /*  as resil_error_code                                               */
    const char *text;     /*  for a person                                                      */
    uint64_t incarnation; /*  which one it was                                                  */
    int64_t at_us;        /*  when, by the program's clock                                      */
    const char *file;     /*  where it was reported, or ""                                      */
    int line;             /*  there, or 0                                                       */
    const char *trace;    /*  a stack trace, or ""                                              */
} resil_remote_error_t;

/*  A component or supervisor of a program that is watched. Its texts are UTF-8, and may have
    control characters in them: a terminal should not be given them as they are. */
typedef struct {
    const char *path;          /*  "/app/pipe/reader"                                           */
    const char *name;          /*  the last part of it                                          */
    int level;                 /*  the root's is 0                                              */
    bool is_supervisor;        /*  else a component                                             */
    resil_state_t state;       /*  what it is at                                                */
    bool is_done;              /*  DOWN by itself: completed or ignored                         */
    uint64_t incarnation;      /*  the running or the last one, 0 before the first               */
    uint64_t restarts;         /*  automatic ones, ever, when counters were last had            */
    size_t restarts_in_window; /*  of a supervisor's children, likewise                         */
    int64_t up_at_us;          /*  when it came up, by the program's clock; -1: it is not up     */
    int64_t due_at_us;         /*  when its pending restart is due; -1: none is                  */
    const resil_remote_error_t *error; /*  its last failure, or NULL                             */
    int thread_id;            /*  of its thread or process, when counters were last had; 0: none */
    size_t quarantined;       /*  threads left behind                                          */
    int64_t worst_stop_us;    /*  see resil_standing_t; RESIL_FOREVER: there is no limit       */
    int64_t worst_restart_us; /*  likewise                                                     */
    uint64_t failures;        /*  all there ever were, when counters were last had              */
    const char *pipeline;     /*  of a pipeline: how its stages and links stood, when counters were
                                  last had, as a JSON object (docs/protocols/monitor.md); else
                                  NULL                                                        */
} resil_remote_node_t;

/*  Something that happened in a program that is watched. As resil_event_t, which says more. What
    does not apply is "", 0 or, of times, -1. Texts as in resil_remote_node_t. */
typedef struct {
    uint64_t sequence;      /*  its number in its program's tree                              */
    uint64_t node_sequence; /*  its number among those of its path                            */
    int64_t at_us;          /*  when, by the program's clock                                  */
    int64_t wall_at_us;     /*  when, in microseconds since 1970                              */
    const char *type;       /*  "state", "added", "removed", "quarantined", "returned", "escalated",
                                  "ended", "command", "refused", "dead"; or what later versions
                                  have                                                        */
    const char *path;       /*  of whom                                                       */
    bool is_supervisor;     /*  else a component                                              */
    uint64_t incarnation;   /*  of it                                                         */
    resil_state_t from;     /*  of "state"                                                    */
    resil_state_t to;       /*  likewise                                                      */
    bool is_done;           /*  it is DOWN by itself                                          */
    int64_t delay_us;       /*  until the restart is due                                      */
    const char *reason;     /*  of "ended": "completed", "stopped", "escalated"               */
    bool commanded;         /*  somebody asked for it                                         */
    const char *by;         /*  who did, or whose failure took it along                       */
    const resil_remote_error_t *error; /*  the cause, or NULL                                    */
    const char *id;      /*  of "command": of the request                                  */
    const char *action;  /*  of "command" and "refused": what was asked for, as "restart"  */
    const char *stage;   /*  of "command": "accepted", "done", "failed"                    */
    const char *failure; /*  of "refused", and of a command that failed: the sentence       */
    const char *text; /*  of "dead": why the last one is; of "ended" of a pipeline: how many records
                             are done, dropped and dead                                     */
    uint64_t count;   /*  of "dead": how many there are by now                           */
    const char *json; /*  all of it, as it was published                                */
} resil_remote_event_t;

/*  The answer to a request. No text is NULL. */
typedef struct {
    bool ok;            /*  it was done                                                         */
    const char *id;     /*  of the request                                                      */
    const char *kind;   /*  else: "bad_request", "unknown_path", "refused", "conflict", "failed",
                            "timeout", "busy", "gone", "version"                                */
    const char *text;   /*  else: a sentence for a person                                       */
    const char *result; /*  what came back, as JSON: an object                                  */
} resil_reply_t;

/*  What a watcher has to tell. */
typedef enum {
    RESIL_NOTICE_JOINED = 1, /*  there is a picture of the program, and it is right               */
    RESIL_NOTICE_EVENT,      /*  something happened; the picture shows it already                */
    RESIL_NOTICE_LOST, /*  `count` events could not be had again; the picture has been made anew */
    RESIL_NOTICE_SILENT,  /*  three beats are missing                                        */
    RESIL_NOTICE_BACK,    /*  it is heard again, and is the same run                         */
    RESIL_NOTICE_NEW_RUN, /*  it is another run of the program; JOINED will follow             */
    RESIL_NOTICE_REPLY,   /*  the answer to resil_program_ask                                */
    RESIL_NOTICE_REFUSED  /*  it cannot be watched; resil_program_info says why               */
} resil_notice_kind_t;

/*  One of those. Valid until the next call that takes the watcher. */
typedef struct {
    resil_notice_kind_t kind;          /*  what it tells                                         */
    resil_program_t *program;          /*  whom it is about                                      */
    uint64_t count;                    /*  of LOST                                              */
    uint64_t missed;                   /*  notices dropped just before it: 65,536 waited already */
    const resil_remote_event_t *event; /*  of EVENT, else NULL                                   */
    const resil_reply_t *reply;        /*  of REPLY, else NULL                                   */
} resil_notice_t;

/*  Make a watcher. `options` is copied; NULL is RESIL_WATCHER_OPTIONS. NULL with errno: EINVAL
    (resil_errmsg names the option, or what is wrong with the key file), ENOENT, EACCES (the key
    file), EMFILE, ENOMEM. */
RESIL_EXPORT resil_watcher_t *resil_watcher_new (const resil_watcher_options_t *options);

/*  End it, and its programs with it. Waits for nothing. Takes NULL and a pointer to NULL, and sets
    the caller's pointer to NULL. */
RESIL_EXPORT void resil_watcher_destroy (resil_watcher_t **self_p);

/*  Watch a program too: `where` is the endpoint of its events ("tcp://10.0.0.7:7350",
    "10.0.0.7:7350", "ipc:///run/user/1000/resil/app-77/events"), or its name or process id if it
    runs here as the same user. NULL or "": what RESIL_ENDPOINT in the environment says, or the only
    one that runs here. It need not be there yet, if an endpoint says where; it may go, and come
    again. NULL with errno: EINVAL (no endpoint), ENOENT (no such program runs here), EEXIST
    (several do: resil_errmsg has them), EMFILE, ENOMEM. */
RESIL_EXPORT resil_program_t *resil_watcher_add (resil_watcher_t *self, const char *where);

/*  Watch it no more. Takes NULL and a pointer to NULL, and sets the caller's pointer to NULL. */
RESIL_EXPORT void resil_watcher_remove (resil_watcher_t *self, resil_program_t **program_p);

/*  What there is to tell next; waits for it for `timeout_ms` (RESIL_FOREVER: as long as it takes).
    What comes from one program comes in its order. NULL with errno: EAGAIN (nothing in that time),
    EINTR (a signal, or the descriptor that was to interrupt), EINVAL, ENOMEM. */
RESIL_EXPORT const resil_notice_t *resil_watcher_next (resil_watcher_t *self, int64_t timeout_ms);

/*  Wait until there is a picture of the program; what else there is to tell is kept. 0, or -1 with
    errno, and a sentence that names the endpoint and what to do next: ECONNREFUSED or ENOENT
    (nobody is there), EHOSTUNREACH, EPROTO (what is there is no resil program), EACCES (it wants a
    key, or another one), EPROTONOSUPPORT (it speaks another version), ETIMEDOUT (it did not answer
    in `timeout_ms`), EINTR, EINVAL. */
RESIL_EXPORT int resil_program_join (resil_program_t *self, int64_t timeout_ms);

/*  How the watcher stands with it. Never NULL, unless `self` is. */
RESIL_EXPORT const resil_program_info_t *resil_program_info (resil_program_t *self);

/*  Its picture: how many there are in it (0: there is none yet); the one at `index`, each
    supervisor followed by its children in the order they were added, or NULL; the one with that
    path, or NULL. Valid until the next call of resil_watcher_next, resil_program_join or
    resil_program_call. */
RESIL_EXPORT size_t resil_program_size (const resil_program_t *self);
RESIL_EXPORT const resil_remote_node_t *resil_program_at (const resil_program_t *self,
                                                          size_t index);
RESIL_EXPORT const resil_remote_node_t *resil_program_find (const resil_program_t *self,
                                                            const char *path);

/*  The longest id of a request with its NUL. */
#define RESIL_REQUEST_ID_MAX 65

/*  Have something done by the program: `what` is "restart", "describe", ...
    (docs/protocols/monitor.md has them all), `path` whom it concerns, or NULL; `fields` a JSON
    object with the request's other fields, or NULL. The answer is a notice of kind REPLY with this
    id (`id` may be NULL); it comes when all is done, or has failed, and in any case after
    `timeout_ms`. 0, or -1 with errno: EINVAL (`fields` is no JSON object, ...), ENOTCONN (it has
    not been joined yet), ENOMEM. */
RESIL_EXPORT int resil_program_ask (resil_program_t *self, const char *what, const char *path,
                                    const char *fields, int64_t timeout_ms,
                                    char id[RESIL_REQUEST_ID_MAX]);

/*  The same, and wait for the answer, which is valid until the next call that takes the watcher;
    what else there is to tell is kept. NULL with errno as resil_program_ask. */
RESIL_EXPORT const resil_reply_t *resil_program_call (resil_program_t *self, const char *what,
                                                      const char *path, const char *fields,
                                                      int64_t timeout_ms);

/*  A program of the same user that runs here and can be watched. */
typedef struct {
    char name[64];      /*  what it is called                                                   */
    int pid;            /*  its process                                                         */
    char endpoint[108]; /*  where its events are had                                            */
} resil_local_program_t;

/*  Those that there are, by name and process id; `count` gets how many. To be freed by free. NULL
    with errno: ENOMEM, EACCES (the folder in which programs are found is not the user's own). Any
    thread. */
RESIL_EXPORT resil_local_program_t *resil_local_programs (size_t *count);

/*  How the watcher stands with a program, as a word: "seeking", "joining", "following", "silent",
    "refused". */
RESIL_EXPORT const char *resil_link_name (resil_link_t link);

/*  What a notice tells, as a word: "joined", "event", "lost", "silent", "back", "new run", "reply",
    "refused". */
RESIL_EXPORT const char *resil_notice_kind_name (resil_notice_kind_t kind);

#endif
