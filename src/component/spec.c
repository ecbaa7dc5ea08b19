/*  Specs are checked whole on the way in, so that nothing later has to doubt one.

    SPDX-License-Identifier: Apache-2.0 */
#include "component/spec.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "component/program.h"
#include "component/type.h"
#include "foundation/errmsg.h"
#include "foundation/index.h"
#include "foundation/kept.h"
#include "foundation/process.h"
#include "foundation/slab.h"

/*  Found by all its bytes: if those between two fields differ, that is one more kind, and no mistake. */
typedef struct {
    resil__entry_t entry;
    atomic_size_t specs; /*  from nothing, and to it, under lock                       */
    resil__kind_t kind;
} shared_t;

static struct {
    pthread_mutex_t lock;
    resil__index_t kinds;
} the = {.lock = PTHREAD_MUTEX_INITIALIZER};

/*  ---- Checks ------------------------------------------------------------------------- */

static int check_time (const char *what, const char *field, int64_t ms, int64_t least, bool forever)
{
    if (forever && ms == RESIL_FOREVER)
        return 0;
    if (ms < least)
        return resil__refuse (EINVAL, "%s: %s is %lld; at least %lld ms%s", what, field,
                              (long long) ms, (long long) least,
                              forever ? ", or RESIL_FOREVER" : "");
    if (ms > RESIL_LONGEST_MS)
        return resil__refuse (EINVAL,
                              "%s: %s is %lld ms, which is more than a year; is the unit wrong?",
                              what, field, (long long) ms);
    return 0;
}

int resil__delay_check (const char *what, const resil_delay_t *delay)
{
    if (check_time (what, "delay.initial_ms", delay->initial_ms, 0, false) ||
        check_time (what, "delay.max_ms", delay->max_ms, 0, false))
        return -1;
    if (delay->max_ms < delay->initial_ms)
        return resil__refuse (EINVAL, "%s: delay.max_ms (%lld) is below delay.initial_ms (%lld)",
                              what, (long long) delay->max_ms, (long long) delay->initial_ms);
    if (delay->initial_ms == 0)
        return 0;
    if (!(delay->factor >= 1.0 && delay->factor <= 100.0))
        return resil__refuse (EINVAL, "%s: delay.factor is %g; it must be from 1 to 100", what,
                              delay->factor);
    if (delay->jitter_percent < 0 || delay->jitter_percent > 100)
        return resil__refuse (EINVAL, "%s: delay.jitter_percent is %d; it must be from 0 to 100",
                              what, delay->jitter_percent);
    return check_time (what, "delay.reset_ms", delay->reset_ms, 1, true);
}

static int check_mailbox (const char *what, const resil_spec_t *spec)
{
    if (spec->mailbox_messages < 1 || spec->mailbox_messages > RESIL_MAILBOX_MOST)
        return resil__refuse (EINVAL, "%s: mailbox_messages is %zu; it must be from 1 to %d", what,
                              spec->mailbox_messages, RESIL_MAILBOX_MOST);
    if (spec->mailbox_bytes < RESIL_MAILBOX_LEAST_BYTES)
        return resil__refuse (EINVAL, "%s: mailbox_bytes is %zu; it must be at least %d", what,
                              spec->mailbox_bytes, RESIL_MAILBOX_LEAST_BYTES);
    if (spec->deliver_again > RESIL_DELIVER_MOST)
        return resil__refuse (EINVAL, "%s: deliver_again is %u; it must be from 0 to %d", what,
                              spec->deliver_again, RESIL_DELIVER_MOST);
    return 0;
}

static int check_fields (const char *what, const resil_spec_t *spec)
{
    if (spec->restart != RESIL_TRANSIENT && spec->restart != RESIL_PERMANENT &&
        spec->restart != RESIL_TEMPORARY)
        return resil__refuse (EINVAL,
                              "%s: restart is %d; it must be RESIL_TRANSIENT, RESIL_PERMANENT or "
                              "RESIL_TEMPORARY",
                              what, (int) spec->restart);
    if (spec->significant && spec->restart == RESIL_PERMANENT)
        return resil__refuse (EINVAL,
                              "%s is significant and permanent: it would never end by itself; make "
                              "it transient or temporary",
                              what);
    if (spec->placement != RESIL_OWN_THREAD && spec->placement != RESIL_SHARED &&
        spec->placement != RESIL_PROCESS)
        return resil__refuse (EINVAL,
                              "%s: placement is %d; it must be RESIL_OWN_THREAD, RESIL_SHARED or "
                              "RESIL_PROCESS",
                              what, (int) spec->placement);
    if (spec->pool && spec->placement != RESIL_SHARED)
        return resil__refuse (EINVAL, "%s: it has a pool, but its placement is not RESIL_SHARED",
                              what);
    if (check_mailbox (what, spec))
        return -1;
    if (check_time (what, "start_ms", spec->start_ms, 1, true) ||
        check_time (what, "shutdown_ms", spec->shutdown_ms, 0, true) ||
        check_time (what, "handler_ms", spec->handler_ms, 1, true) ||
        check_time (what, "hang_ms", spec->hang_ms, 10, true))
        return -1;
    return 0;
}

/*  A quarantined thread keeps its arguments; say so where nothing could replace it. */
static int check_replaceable (const char *what, const resil_spec_t *spec, const resil_type_t *type)
{
    if ((type->args_new || type->args_decode) && spec->args_shared)
        return resil__refuse (EINVAL,
                              "%s: args_shared is set, but type \"%s\" makes fresh arguments; "
                              "leave it out",
                              what, type->name);
    return 0;
}

/*  Of a command that names no type. */
static const resil_type_t no_type = {RESIL_TYPE, .name = "command"};

static bool is_command (const resil_spec_t *spec)
{
    return spec->placement == RESIL_PROCESS && spec->process && spec->process->command;
}

/*  What it says of its readiness and its progress. */
static int check_command (const char *what, resil_spec_t *spec)
{
    bool notifies = spec->process->notify;
    bool says_when = notifies || spec->process->ready_ms >= 0 || spec->process->ready_line;
    if (spec->ready_required && !says_when)
        return resil__refuse (EINVAL,
                              "%s: ready_required is set, but nothing tells when its command is "
                              "ready; give process.ready_ms or process.ready_line, or set "
                              "process.notify",
                              what);
    if (spec->hang_ms != RESIL_FOREVER && !notifies)
        return resil__refuse (
            EINVAL,
            "%s: hang_ms is set, but its command does not speak, so nothing tells "
            "of its progress; leave it at RESIL_FOREVER, or set process.notify",
            what);
    spec->ready_required = says_when;
    return 0;
}

/*  A program that is not given is this one. */
static int check_process (const char *what, resil_spec_t *spec, const resil_type_t *type,
                          bool is_registered)
{
    static const resil_process_t this_program = {RESIL_PROCESS_OPTIONS};
    if (spec->placement != RESIL_PROCESS)
        return spec->process
                   ? resil__refuse (
                         EINVAL, "%s: process is set, but its placement is not RESIL_PROCESS", what)
                   : 0;
    if (!spec->process)
        spec->process = &this_program;
    if (resil__program_check (what, spec->process))
        return -1;
    /*  A component that runs main once more would start one, and that another. */
    if (getenv ("RESIL_TOKEN") && !resil__process_can_host ())
        return resil__refuse (
            EINVAL,
            "%s: this process is a component itself (RESIL_TOKEN is set), and its "
            "main has not called resil_host, so it may not start others",
            what);
    if (!spec->process->command && !resil__process_can_host ())
        return resil__refuse (
            EINVAL,
            "%s: main has not called resil_host; without that line at its top this "
            "program cannot run its own components in processes",
            what);
    bool speaks = spec->process->speaks || !spec->process->command;
    if (!spec->process->command && !is_registered)
        return resil__refuse (EINVAL,
                              "%s: its type is not registered, so another process cannot find it; "
                              "register it, and name it in the spec",
                              what);
    if (speaks && spec->args && !type->args_encode)
        return resil__refuse (EINVAL,
                              "%s: it has arguments, and its type \"%s\" has no args_encode and "
                              "args_decode to take them to another process",
                              what, type->name);
    return speaks ? 0 : check_command (what, spec);
}

/*  And a pool that has a name, which is kept. */
static int check_placement (const char *what, resil_spec_t *spec, const resil_type_t *type,
                            bool is_registered)
{
    if (!type->start && !resil__type_has_handlers (type) && !is_command (spec))
        return resil__refuse (EINVAL,
                              "%s: its type \"%s\" has no start function; it is for commands "
                              "(RESIL_PROCESS, with process.command)",
                              what, type->name);
    if (check_process (what, spec, type, is_registered))
        return -1;
    if (spec->placement != RESIL_SHARED)
        return 0;
    if (!resil__type_has_handlers (type))
        return resil__refuse (EINVAL,
                              "%s: it is to share a thread, but its type \"%s\" has a start, which "
                              "would keep it; write it as handlers",
                              what, type->name);
    if (!spec->pool)
        spec->pool = RESIL__USUAL_POOL;
    else if (resil__check_name ("a pool", spec->pool))
        return -1;
    spec->pool = resil__keep_text (spec->pool);
    return spec->pool ? 0 : resil__refuse (ENOMEM, "no memory to add %s", what);
}

static int check_head (const resil_spec_t *spec)
{
    if (!spec)
        return resil__refuse (EINVAL, "the spec is NULL");
    if (resil__check_size ("the spec's size", spec->size, sizeof *spec, "it", "RESIL_SPEC"))
        return -1;
    return resil__check_name ("the component", spec->name);
}

/*  ---- Kinds -------------------------------------------------------------------------- */

static uint64_t hash_of (const resil__kind_t *kind)
{
    uint64_t hash = 0, words[sizeof *kind / sizeof (uint64_t)];
    memcpy (words, kind, sizeof words);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        hash = (hash ^ words[i]) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 32;
    }
    return hash;
}

static shared_t *shared_of (resil__entry_t *entry)
{
    return (shared_t *) entry; /*  its first member                                         */
}

static shared_t *find (const resil__kind_t *kind, uint64_t hash)
{
    resil__entry_t *entry = resil__index_first (&the.kinds, hash);
    while (entry && memcmp (&shared_of (entry)->kind, kind, sizeof *kind) != 0)
        entry = resil__index_next (entry);
    return entry ? shared_of (entry) : NULL;
}

static shared_t *add_kind (const resil__kind_t *kind, uint64_t hash)
{
    shared_t *shared = malloc (sizeof *shared);
    if (!shared || resil__index_reserve (&the.kinds, the.kinds.count + 1)) {
        free (shared);
        return NULL;
    }
    shared->entry.hash = hash;
    atomic_init (&shared->specs, 0);
    memcpy (&shared->kind, kind, sizeof *kind);
    resil__index_add (&the.kinds, &shared->entry);
    return shared;
}

/*  Takes its process. NULL: no memory. */
static const resil__kind_t *share (const resil__kind_t *kind)
{
    uint64_t hash = hash_of (kind);
    pthread_mutex_lock (&the.lock);
    shared_t *shared = find (kind, hash);
    bool is_new = !shared && (shared = add_kind (kind, hash));
    if (shared)
        atomic_fetch_add (&shared->specs, 1);
    pthread_mutex_unlock (&the.lock);
    if (!is_new)
        resil__program_release (kind->is.process);
    return shared ? &shared->kind : NULL;
}

static shared_t *shared_by (const resil__spec_t *spec)
{
    return (shared_t *) ((uintptr_t) spec->is - offsetof (shared_t, kind.is));
}

static void drop (shared_t *shared)
{
    size_t specs = atomic_load (&shared->specs);
    while (specs > 1)
        if (atomic_compare_exchange_weak (&shared->specs, &specs, specs - 1))
            return;
    pthread_mutex_lock (&the.lock);
    if (atomic_fetch_sub (&shared->specs, 1) == 1) {
        resil__index_remove (&the.kinds, &shared->entry);
        resil__program_release (shared->kind.is.process);
        free (shared);
    }
    if (the.kinds.count == 0)
        resil__index_release (&the.kinds);
    pthread_mutex_unlock (&the.lock);
}

/*  ---- Specs -------------------------------------------------------------------------- */

static resil__spec_t *no_memory (const resil_spec_t *spec)
{
    resil__refuse (ENOMEM, "no memory to add \"%s\"", spec->name);
    return NULL;
}

/*  Of that kind, of which it takes over the one that was counted for it. */
static void fill (resil__spec_t *self, const resil_spec_t *spec, const resil__kind_t *kind)
{
    atomic_init (&self->references, 1);
    self->is = &kind->is;
    self->args = spec->args;
    strcpy (self->name, spec->name);
}

/*  Those with short names, as they come by the thousand, have no more memory than they need. */
static resil__slab_t slabs[] = {{.size = 32}, {.size = 48}, {.size = 64}};

static resil__slab_t *slab_for (const char *name)
{
    const size_t bytes = offsetof (resil__spec_t, name) + strlen (name) + 1;
    size_t i = 0;
    while (i < sizeof slabs / sizeof *slabs && slabs[i].size < bytes)
        i++;
    return i < sizeof slabs / sizeof *slabs ? &slabs[i] : NULL;
}

static resil__spec_t *allocate (const resil_spec_t *spec)
{
    bool is_fresh;
    resil__slab_t *slab = slab_for (spec->name);
    return slab ? resil__slab_take (slab, &is_fresh)
                : malloc (offsetof (resil__spec_t, name) + strlen (spec->name) + 1);
}

/*  One that bears that name. */
static void deallocate (resil__spec_t *self, const char *name)
{
    resil__slab_t *slab = slab_for (name);
    if (slab && self)
        resil__slab_give (slab, self);
    else if (!slab)
        free (self);
}

resil__spec_t *resil__spec_copy (const resil_spec_t *spec, const resil_type_t *type,
                                 const char *type_name)
{
    resil__kind_t kind;
    const resil_process_t *process = NULL;
    char what[RESIL_NAME_MAX + 16];
    snprintf (what, sizeof what, "component \"%s\"", spec->name);
    if (spec->process && !(process = resil__program_keep (what, spec->process)))
        return NULL;
    memset (&kind, 0, sizeof kind);
    memcpy (&kind.is, spec, sizeof kind.is);
    kind.is.process = process;
    memcpy (&kind.type, type, sizeof kind.type);
    kind.is.name = NULL;
    kind.is.args = NULL;
    kind.is.type = type_name;
    kind.type.name = NULL;
    kind.mail.max_messages = spec->mailbox_messages;
    kind.mail.max_bytes = spec->mailbox_bytes;
    kind.mail.deliver_again = spec->deliver_again;
    resil__spec_t *self = allocate (spec);
    const resil__kind_t *shared = self ? share (&kind) : NULL;
    if (!self)
        resil__program_release (process);
    if (!shared) {
        deallocate (self, spec->name);
        return no_memory (spec);
    }
    fill (self, spec, shared);
    return self;
}

static bool inherits_delay (const resil_spec_t *spec)
{
    return spec->delay.initial_ms == -1 && spec->delay.max_ms == -1;
}

resil__spec_t *resil__spec_new (const resil_spec_t *spec, const resil_type_t *type,
                                const resil_delay_t *inherited)
{
    if (check_head (spec))
        return NULL;
    char what[RESIL_NAME_MAX + 16];
    snprintf (what, sizeof what, "component \"%s\"", spec->name);
    if (!type && !spec->type && is_command (spec))
        type = &no_type;
    if (!type && !spec->type) {
        resil__refuse (EINVAL, "%s names no type", what);
        return NULL;
    }
    bool is_registered = !type;
    if (!type && !(type = resil__type_find (spec->type))) {
        resil__refuse (ENOENT, "%s is of type \"%s\", which is not registered", what, spec->type);
        return NULL;
    }
    resil_spec_t checked = *spec;
    if (inherits_delay (spec))
        checked.delay = *inherited;
    if ((type != &no_type && resil__type_check (type)) || check_fields (what, &checked) ||
        check_placement (what, &checked, type, is_registered) ||
        resil__delay_check (what, &checked.delay) || check_replaceable (what, &checked, type))
        return NULL;
    return resil__spec_copy (&checked, type, is_registered ? type->name : NULL);
}

/*  But for name and args, which stand before `restart`. */
static bool are_alike (const resil_spec_t *one, const resil_spec_t *other)
{
    const size_t from = offsetof (resil_spec_t, restart);
    return one->size == other->size && one->type == other->type &&
           memcmp ((const char *) one + from, (const char *) other + from, sizeof *one - from) == 0;
}

resil__spec_t *resil__spec_new_next (const resil_spec_t *spec, const resil_spec_t *before,
                                     const resil__spec_t *accepted, const resil_delay_t *inherited)
{
    if (!are_alike (spec, before))
        return resil__spec_new (spec, NULL, inherited);
    if (resil__check_name ("the component", spec->name))
        return NULL;
    resil__spec_t *self = allocate (spec);
    if (!self)
        return no_memory (spec);
    shared_t *shared = shared_by (accepted);
    atomic_fetch_add (&shared->specs, 1);
    fill (self, spec, &shared->kind);
    return self;
}

resil__spec_t *resil__spec_new_subtree (const resil_spec_t *spec, const resil_delay_t *inherited)
{
    static const resil_type_t none = {0};
    if (check_head (spec))
        return NULL;
    char what[RESIL_NAME_MAX + 16];
    snprintf (what, sizeof what, "supervisor \"%s\"", spec->name);
    if (spec->type || spec->args || spec->args_shared || spec->ready_required ||
        spec->hang_ms != RESIL_FOREVER || spec->placement != RESIL_OWN_THREAD || spec->process) {
        resil__refuse (
            EINVAL,
            "%s: type, args, args_shared, ready_required, hang_ms, placement and process "
            "are for components; "
            "begin its spec with RESIL_SUBTREE",
            what);
        return NULL;
    }
    resil_spec_t checked = *spec;
    if (inherits_delay (spec))
        checked.delay = *inherited;
    if (check_fields (what, &checked) || resil__delay_check (what, &checked.delay))
        return NULL;
    return resil__spec_copy (&checked, &none, NULL);
}

void resil__spec_swap (resil__spec_t *self, resil__spec_t *other)
{
    const resil_spec_t *is = self->is;
    void *args = self->args;
    self->is = other->is;
    self->args = other->args;
    other->is = is;
    other->args = args;
}

resil__spec_t *resil__spec_retain (resil__spec_t *self)
{
    atomic_fetch_add_explicit (&self->references, 1, memory_order_relaxed);
    return self;
}

void resil__spec_release (resil__spec_t **self_p)
{
    resil__spec_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    /*  The last one need not fear another. */
    if (atomic_load_explicit (&self->references, memory_order_acquire) != 1 &&
        atomic_fetch_sub_explicit (&self->references, 1, memory_order_acq_rel) != 1)
        return;
    drop (shared_by (self));
    deallocate (self, self->name);
}

bool resil__spec_makes_args (const resil__spec_t *self)
{
    const resil_type_t *type = resil__spec_type (self);
    return type->args_new || type->args_decode;
}

bool resil__spec_can_replace (const resil__spec_t *self)
{
    return resil__spec_makes_args (self) || self->is->args_shared || !self->args ||
           self->is->placement == RESIL_PROCESS;
}

static int copy_args (const resil__spec_t *self, void **args_p)
{
    void *bytes = NULL;
    size_t size = 0;
    errno = 0;
    if (resil__spec_type (self)->args_encode (self->args, &bytes, &size))
        return resil__refuse (errno ? errno : EINVAL, "its arguments could not be encoded");
    *args_p = resil__spec_type (self)->args_decode (bytes, size);
    int error = errno;
    free (bytes);
    if (!*args_p)
        return resil__refuse (error ? error : EINVAL, "its arguments could not be decoded");
    return 0;
}

int resil__spec_make_args (const resil__spec_t *self, void **args_p)
{
    if (resil__spec_type (self)->args_new) {
        errno = 0;
        *args_p = resil__spec_type (self)->args_new (self->args);
        if (!*args_p)
            return resil__refuse (errno ? errno : ENOMEM, "its arguments could not be made");
        return 0;
    }
    if (resil__spec_type (self)->args_decode)
        return copy_args (self, args_p);
    *args_p = self->args;
    return 0;
}

void resil__spec_free_args (const resil__spec_t *self, void *args)
{
    if (args && resil__spec_makes_args (self))
        resil__spec_type (self)->args_free (args);
}
