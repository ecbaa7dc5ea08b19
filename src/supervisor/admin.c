/*  What commands do. Each is accepted or refused at once, with a sentence; what is accepted may take
    its time, and whoever waits for it is kept with the child that it is about.

    SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "foundation/errmsg.h"
#include "supervisor/batch.h"
#include "supervisor/event_codec.h"
#include "supervisor/guest.h"
#include "supervisor/snapshot.h"
#include "supervisor/state.h"

static resil__child_t *find (const resil_supervisor_t *self, const char *name)
{
    resil__child_t *child = resil__family_find (self, name);
    if (!child)
        resil__refuse (ENOENT, "supervisor \"%s\" has no child \"%s\"", self->path, name);
    return child;
}

/*  The same for a call that is about one incarnation, maybe. */
static resil__child_t *find_meant (const resil_supervisor_t *self, const resil__command_t *command)
{
    resil__child_t *child = find (self, command->name);
    if (!child || !command->only_incarnation || command->only_incarnation == child->incarnation)
        return child;
    resil__refuse (ESTALE,
                   "\"%s\" is in incarnation %llu, and not in %llu any more: look again at what "
                   "it is at",
                   command->name, (unsigned long long) child->incarnation,
                   (unsigned long long) command->only_incarnation);
    return NULL;
}

/*  0, or -1: it is ending or has ended. */
static int check_open (const resil_supervisor_t *self)
{
    if (self->stage < RESIL__STOPPING && resil__family_is_there (self))
        return 0;
    return resil__refuse (ESHUTDOWN, "supervisor \"%s\" %s", self->path,
                          self->stage == RESIL__STOPPING ? "is stopping" : "has ended");
}

/*  Refuse: with the last error of this thread. */
static void refuse (resil_supervisor_t *self, resil__command_t *command)
{
    resil__loop_answer (self->tree, command, errno, resil_errmsg ());
}

static void agree (resil_supervisor_t *self, resil__command_t *command)
{
    resil__loop_answer (self->tree, command, 0, "");
}

/*  Who called from inside does not wait, as what it waits for may wait for it. */
static resil__command_t *await_start (resil__child_t *child, resil__command_t *command)
{
    if (command->from_inside || command->detached)
        return command;
    child->waiter = command;
    return NULL;
}

static void add (resil_supervisor_t *self, resil__command_t *command)
{
    resil__command_t *to_answer = command;
    resil__child_t *child = resil__family_add (self, command->spec, command->subtree);
    if (!child) {
        refuse (self, command);
        return;
    }
    command->spec = NULL;
    if (child->subtree)
        resil__family_join (self->tree, child->subtree);
    if (self->stage != RESIL__CREATED && !child->subtree) {
        to_answer = await_start (child, command);
        resil__family_ask (child);
    }
    if (to_answer)
        agree (self, to_answer);
}

static void add_many (resil_supervisor_t *self, resil__command_t *command)
{
    bool begins = self->stage != RESIL__CREATED;
    resil__batch_t *batch = begins ? resil__batch_new (command->spec_count) : NULL;
    if ((begins && !batch) || resil__family_add_all (self, command->specs, command->spec_count)) {
        refuse (self, command);
        resil__batch_destroy (&batch);
        return;
    }
    bool is_answered = !begins || command->from_inside; /*  and then its caller's to free      */
    if (is_answered)
        agree (self, command);
    if (begins)
        resil__batch_begin (batch, self, is_answered ? NULL : command);
}

static int check_spawn (const resil_supervisor_t *self)
{
    if (self->stage >= RESIL__STOPPING || !resil__family_is_there (self))
        return resil__refuse (ESHUTDOWN,
                              "supervisor \"%s\" has been stopped or has ended; make a new one",
                              self->name);
    if (self->stage != RESIL__CREATED || (self->child && self->child->asked))
        return resil__refuse (EALREADY, "supervisor \"%s\" has been spawned before; once is enough",
                              self->name);
    if (self->child && self->child->supervisor->stage == RESIL__CREATED)
        return resil__refuse (
            EINVAL,
            "supervisor \"%s\" is below \"%s\", which has not been spawned; spawn "
            "the root, and all below it are",
            self->path, self->child->supervisor->path);
    return self->child ? check_open (self->child->supervisor) : 0;
}

static void spawn (resil_supervisor_t *self, resil__command_t *command)
{
    if (check_spawn (self)) {
        refuse (self, command);
        return;
    }
    if (!self->child) {
        self->spawner = command;
        resil__family_boot (self);
        return;
    }
    resil__author_set (&self->child->author, self->tree->author);
    resil__command_t *to_answer = await_start (self->child, command);
    resil__family_ask (self->child);
    if (to_answer)
        agree (self, to_answer);
}

static void await_down (resil__child_t *child, resil__command_t *command)
{
    if (command->from_inside || command->detached)
        agree (child->supervisor, command);
    else {
        command->next = child->stoppers;
        child->stoppers = command;
    }
}

/*  As it is when all that it did by a grant has been taken note of. By that it may be gone, or its
    supervisor may have ended. */
static resil__child_t *find_up_to_date (resil_supervisor_t *self, const resil__command_t *command)
{
    resil__child_t *child = check_open (self) ? NULL : find (self, command->name);
    if (!child)
        return NULL;
    resil__child_close_grant (child);
    child = check_open (self) ? NULL : find_meant (self, command);
    resil__child_t *other = child ? NULL : resil__family_find (self, command->name);
    if (other) /*  it goes on as it is                                         */
        resil__child_open_grant (other);
    return child;
}

static void terminate (resil_supervisor_t *self, resil__command_t *command)
{
    resil__child_t *child = find_up_to_date (self, command);
    if (!child) {
        refuse (self, command);
        return;
    }
    resil__author_set (&child->author, self->tree->author);
    if (child->phase == RESIL__DOWN) {
        resil__family_withdraw (child);
        agree (self, command);
        return;
    }
    await_down (child, command);
    resil__child_let_be (child);
    if (child->phase != RESIL__DOWN && child->cause != RESIL__TO_STOP)
        resil__child_event (child, RESIL__STOP, self->tree->now_us);
}

static int check_restart (const resil__child_t *child)
{
    const char *name = child->spec->name;
    if (child->phase == RESIL__DOWN && !child->asked)
        return 0;
    if (child->phase == RESIL__WAITING)
        return resil__refuse (EBUSY, "a restart of \"%s\" is pending; it can be hurried", name);
    if (child->phase == RESIL__DOWN)
        return resil__refuse (EBUSY, "\"%s\" is started in its turn", name);
    if (child->to_stop || child->phase == RESIL__RETIRING)
        return resil__refuse (EBUSY, "\"%s\" is just stopping; try again", name);
    return resil__refuse (EALREADY, "\"%s\" runs", name);
}

static void restart_child (resil_supervisor_t *self, resil__command_t *command)
{
    resil__child_t *child = check_open (self) ? NULL : find_meant (self, command);
    if (!child || check_restart (child) || resil__family_reserve (self)) {
        refuse (self, command);
        return;
    }
    resil__author_set (&child->author, self->tree->author);
    child->first_start = child->kept = true;
    child->start_errno = 0;
    if (self->stage == RESIL__CREATED) {
        agree (self, command);
        return;
    }
    resil__command_t *to_answer = await_start (child, command);
    resil__family_ask (child);
    if (to_answer)
        agree (self, to_answer);
}

static int check_delete (const resil__child_t *child)
{
    const char *name = child->spec->name;
    if (child->phase == RESIL__DOWN && !child->asked)
        return 0;
    if (child->phase == RESIL__WAITING)
        return resil__refuse (EBUSY, "\"%s\" waits for a restart; terminate it first", name);
    return resil__refuse (EBUSY, "\"%s\" %s; terminate it first", name,
                          child->phase == RESIL__DOWN ? "is started in its turn"
                          : child->to_stop            ? "is just stopping"
                                                      : "runs");
}

static void delete (resil_supervisor_t *self, resil__command_t *command)
{
    resil__child_t *child = check_open (self) ? NULL : find_meant (self, command);
    if (!child || check_delete (child)) {
        refuse (self, command);
        return;
    }
    resil__author_set (&child->author, self->tree->author);
    resil__family_forget (child);
    agree (self, command);
    resil__family_walk (self);
}

static void hurry (resil_supervisor_t *self, resil__command_t *command)
{
    resil__child_t *child = check_open (self) ? NULL : find_meant (self, command);
    if (!child) {
        refuse (self, command);
        return;
    }
    if (child->phase != RESIL__WAITING) {
        resil__refuse (EALREADY, "no restart of \"%s\" is pending", command->name);
        refuse (self, command);
        return;
    }
    agree (self, command);
    resil__author_set (&child->author, self->tree->author);
    if (child->held)
        resil__family_hurry_group (self);
    else
        resil__child_event (child, RESIL__GO, self->tree->now_us);
}

static int check_reload (const resil__child_t *child, const char *name)
{
    if (child->subtree)
        return resil__refuse (EINVAL, "\"%s\" is a supervisor; reload its children", name);
    if (child->runner && resil__state_of_child (child) == RESIL_UP)
        return 0;
    return resil__refuse (EBUSY, "\"%s\" is not up; when it starts it reads what there is then",
                          name);
}

static void reload (resil_supervisor_t *self, resil__command_t *command)
{
    resil__child_t *child = check_open (self) ? NULL : find (self, command->name);
    if (!child || check_reload (child, command->name)) {
        refuse (self, command);
        return;
    }
    resil__runner_reload (child->runner);
    agree (self, command);
}

/*  0, or -1: it was deleted, or one above it, and only its handle is left. */
static int check_exists (const resil_supervisor_t *self)
{
    if (resil__family_is_there (self))
        return 0;
    return resil__refuse (ESHUTDOWN, "supervisor \"%s\" has been deleted", self->path);
}

static void count (resil_supervisor_t *self, resil__command_t *command)
{
    if (check_exists (self)) {
        refuse (self, command);
        return;
    }
    resil_count_t *counted = command->count;
    *counted = (resil_count_t){.specs = self->child_count};
    for (size_t i = 0; i < self->child_count; i++) {
        const resil__child_t *child = self->children[i];
        counted->supervisors += child->subtree != NULL;
        counted->pending += child->phase == RESIL__WAITING;
        counted->active += child->phase != RESIL__DOWN && child->phase != RESIL__WAITING;
    }
    agree (self, command);
}

/*  Along a path of names below a supervisor. NULL with errno and a sentence. */
static resil__child_t *follow (resil_supervisor_t *self, const char *path)
{
    char name[RESIL_NAME_MAX + 1];
    for (;;) {
        size_t size = strcspn (path, "/");
        if (size > RESIL_NAME_MAX)
            size = RESIL_NAME_MAX;
        memcpy (name, path, size);
        name[size] = 0;
        resil__child_t *child = find (self, name);
        if (!child || !path[size])
            return child;
        if (!child->subtree) {
            resil__refuse (ENOENT,
                           "\"%s\" of supervisor \"%s\" is no supervisor, so nothing is "
                           "below it",
                           name, self->path);
            return NULL;
        }
        self = child->subtree;
        path += size + 1;
    }
}

static resil__child_t *find_by_path (resil_supervisor_t *self, const char *path)
{
    const resil_supervisor_t *root = self->tree->root;
    if (*path != '/')
        return follow (self, path);
    size_t size = strlen (root->path);
    if (strncmp (path, root->path, size) == 0 && path[size] == '/')
        return follow (self->tree->root, path + size + 1);
    resil__refuse (ENOENT, "\"%s\" is not below \"%s\", the root here", path, root->path);
    return NULL;
}

/*  NULL: it has been refused. */
static resil__mailbox_t *find_mailbox (resil_supervisor_t *self, resil__command_t *command)
{
    const resil__child_t *child = check_exists (self) ? NULL : find_by_path (self, command->name);
    if (child && child->subtree) {
        resil__refuse (EINVAL, "\"%s\" is a supervisor; it has no mailbox", command->name);
        child = NULL;
    }
    if (!child)
        refuse (self, command);
    return child ? child->mailbox : NULL;
}

static void find_address (resil_supervisor_t *self, resil__command_t *command)
{
    const resil__mailbox_t *mailbox = find_mailbox (self, command);
    if (!mailbox)
        return;
    *command->address = resil__mailbox_address (mailbox);
    agree (self, command);
}

static void tell_mail (resil_supervisor_t *self, resil__command_t *command)
{
    resil__mailbox_t *mailbox = find_mailbox (self, command);
    if (!mailbox)
        return;
    resil__mailbox_books_t books = resil__mailbox_books (mailbox);
    int64_t age_us = books.oldest_at_us ? self->tree->now_us - books.oldest_at_us : 0;
    *command->mail = (resil_mail_t){.sent = books.sent,
                                    .handled = books.handled,
                                    .lost = books.lost,
                                    .in_hand = books.in_hand,
                                    .waiting = books.waiting,
                                    .waiting_bytes = books.waiting_bytes,
                                    .oldest_ms = age_us > 0 ? age_us / 1000 : 0};
    agree (self, command);
}

static void set_options (resil_supervisor_t *self, resil__command_t *command)
{
    const resil_supervisor_options_t *options = command->options;
    const char *name = self->options.name;
    uint64_t seed = self->options.seed;
    /*  What has been done by the former ones is judged by them. Who runs has a grant by the new ones when it
        is up again. */
    for (size_t i = self->child_count; i > 0; i--)
        if (i <= self->child_count)
            resil__child_end_grant (self->children[i - 1]);
    if (check_open (self) || resil__family_change_options (self, options)) {
        refuse (self, command);
        return;
    }
    self->options = *options;
    self->options.name = name;
    self->options.seed = seed;
    agree (self, command);
}

static void get_spec (resil_supervisor_t *self, resil__command_t *command)
{
    resil__child_t *child = check_exists (self) ? NULL : find (self, command->name);
    if (!child) {
        refuse (self, command);
        return;
    }
    *command->spec_out = *child->spec->is;
    command->spec_out->name = command->name;
    command->spec_out->args = child->spec->args;
    agree (self, command);
}

static int check_set_spec (const resil_supervisor_t *self, const resil__child_t *child,
                           const resil__spec_t *spec)
{
    if (child->subtree)
        return resil__refuse (
            EINVAL, "\"%s\" is a supervisor; resil_supervisor_set_options changes it", spec->name);
    if (spec->is->significant && self->options.auto_shutdown == RESIL_SHUTDOWN_NEVER)
        return resil__refuse (EINVAL,
                              "component \"%s\" is significant, but supervisor \"%s\" has no "
                              "auto_shutdown that would heed it",
                              spec->name, self->name);
    return 0;
}

static void set_spec (resil_supervisor_t *self, resil__command_t *command)
{
    resil__child_t *child = find_up_to_date (self, command);
    if (!child || check_set_spec (self, child, command->spec) ||
        resil__hang_prepare (child, command->spec)) {
        if (child)
            resil__child_open_grant (child);
        refuse (self, command);
        return;
    }
    resil__child_set_spec (child, command->spec);
    command->spec = NULL;
    agree (self, command);
}

static void attend (resil_supervisor_t *self, resil__command_t *command)
{
    bool is_taken = self->tree->attendant;
    if (is_taken)
        resil__refuse (EALREADY, "supervisor \"%s\" is followed already", self->path);
    if (is_taken || check_open (self)) {
        refuse (self, command);
        return;
    }
    self->tree->attendant = command->attendant;
    agree (self, command);
}

static void receive_guest (resil_supervisor_t *self, resil__command_t *command)
{
    bool is_taken = self->tree->guest;
    if (is_taken)
        resil__refuse (EALREADY, "supervisor \"%s\" has a monitor already", self->path);
    if (is_taken || check_open (self) || resil__event_open_feed (self, command->feed_bytes)) {
        refuse (self, command);
        return;
    }
    self->tree->guest = command->guest;
    command->guest->root = self;
    command->guest->feed = self->tree->events.feed;
    resil__feed_hold (command->guest->feed);
    agree (self, command);
}

static void locate (resil_supervisor_t *self, resil__command_t *command)
{
    resil__place_t *place = command->place;
    bool is_root = strcmp (command->name, self->path) == 0;
    const resil__child_t *child = is_root ? NULL : find_by_path (self, command->name);
    if (!is_root && !child) {
        refuse (self, command);
        return;
    }
    *place = (resil__place_t){.above = is_root ? NULL : child->supervisor,
                              .self = is_root ? self : child->subtree,
                              .is_dynamic =
                                  !is_root && child->supervisor->options.strategy == RESIL_DYNAMIC};
    if (place->self)
        place->options = place->self->options;
    strcpy (place->name, is_root ? self->name : child->spec->name);
    agree (self, command);
}

static void tell_client (resil_supervisor_t *self, resil__command_t *command)
{
    bool is_root = strcmp (command->name, self->path) == 0;
    resil__child_t *child = is_root ? NULL : find_by_path (self, command->name);
    resil__event_client (self, child, command->client_event);
    *command->sequence = self->tree->events.sequence;
    agree (self, command);
}

static void tell_dead (resil_supervisor_t *self, resil__command_t *command)
{
    resil__child_t *child = check_exists (self) ? NULL : resil__family_find (self, command->name);
    if (child)
        resil__event_dead (child, command->dead, command->message);
    agree (self, command);
}

static void take_snapshot (resil_supervisor_t *self, resil__command_t *command)
{
    *command->snapshot = check_exists (self) ? NULL : resil__snapshot_take (self);
    if (*command->snapshot)
        agree (self, command);
    else
        refuse (self, command);
}

static void set_listener (resil_supervisor_t *self, resil__command_t *command)
{
    if (resil__event_listen (self, command->listen, command->listen_arg)) {
        refuse (self, command);
        return;
    }
    *command->outlet = self->tree->events.outlet;
    agree (self, command);
}

static void open_stream (resil_supervisor_t *self, resil__command_t *command)
{
    if (resil__event_open_stream (self))
        refuse (self, command);
    else
        agree (self, command);
}

/*  Of one below another: as that one's child. */
static void stop_all (resil_supervisor_t *self, resil__command_t *command)
{
    if (self->level == 0) {
        resil__family_stop (self, RESIL_ENDED_STOPPED, NULL);
        agree (self, command);
    }
    else if (!resil__family_is_there (self) ||
             (self->child->phase == RESIL__DOWN &&
              (!self->child->asked || self->child->supervisor->stage >= RESIL__STOPPING)))
        agree (self, command);
    else if (self->child->supervisor->stage >= RESIL__STOPPING)
        await_down (self->child, command);
    else {
        command->name = self->child->spec->name;
        terminate (self->child->supervisor, command);
    }
}

static void close_down (resil_supervisor_t *self, resil__command_t *command)
{
    resil__tree_t *tree = self->tree;
    tree->closing = tree->bounded = true;
    for (resil_supervisor_t *each = tree->supervisors; each; each = each->next)
        for (size_t i = 0; i < each->child_count; i++)
            resil__child_bound (each->children[i]);
    resil__family_stop (self, RESIL_ENDED_STOPPED, NULL);
    if (self->stage == RESIL__ENDED)
        tree->leave = true;
    agree (self, command);
}

static resil__author_t *author_of (const resil__command_t *command)
{
    const resil_self_t *from = command->from;
    if (from)
        return resil__author_new (true, from->supervisor, from->spec->name);
    if (command->client)
        return resil__author_new_client (command->client);
    return command->by ? command->by : &resil__program;
}

static void execute (resil_supervisor_t *self, resil__command_t *command)
{
    switch (command->verb) {
    case RESIL__ADD:
        add (self, command);
        break;
    case RESIL__ADD_MANY:
        add_many (self, command);
        break;
    case RESIL__SPAWN:
        spawn (self, command);
        break;
    case RESIL__TERMINATE:
        terminate (self, command);
        break;
    case RESIL__RESTART_CHILD:
        restart_child (self, command);
        break;
    case RESIL__DELETE:
        delete (self, command);
        break;
    case RESIL__HURRY:
        hurry (self, command);
        break;
    case RESIL__RELOAD:
        reload (self, command);
        break;
    case RESIL__COUNT:
        count (self, command);
        break;
    case RESIL__FIND:
        find_address (self, command);
        break;
    case RESIL__MAIL:
        tell_mail (self, command);
        break;
    case RESIL__SET_POOL:
        if (resil__pool_set_threads (self->tree, command->name, command->threads))
            refuse (self, command);
        else
            agree (self, command);
        break;
    case RESIL__SET_OPTIONS:
        set_options (self, command);
        break;
    case RESIL__GET_SPEC:
        get_spec (self, command);
        break;
    case RESIL__SET_SPEC:
        set_spec (self, command);
        break;
    case RESIL__SNAPSHOT:
        take_snapshot (self, command);
        break;
    case RESIL__LISTEN:
        set_listener (self, command);
        break;
    case RESIL__STREAM:
        open_stream (self, command);
        break;
    case RESIL__ATTEND:
        attend (self, command);
        break;
    case RESIL__RECEIVE_GUEST:
        receive_guest (self, command);
        break;
    case RESIL__LOCATE:
        locate (self, command);
        break;
    case RESIL__TELL_CLIENT:
        tell_client (self, command);
        break;
    case RESIL__TELL_DEAD:
        tell_dead (self, command);
        break;
    case RESIL__READ_METERS:
        *command->readings = resil__readings_take (self);
        if (*command->readings)
            agree (self, command);
        else
            refuse (self, command);
        break;
    case RESIL__STOP_ALL:
        stop_all (self, command);
        break;
    case RESIL__STOP_NOW:
        resil__family_stop_now (self);
        agree (self, command);
        break;
    case RESIL__CLOSE:
        close_down (self, command);
        break;
    }
}

/*  May it change what some child is at, out of its turn? */
static bool is_for_a_child (resil__verb_t verb)
{
    return verb == RESIL__TERMINATE || verb == RESIL__RESTART_CHILD || verb == RESIL__DELETE ||
           verb == RESIL__HURRY || verb == RESIL__SET_OPTIONS || verb == RESIL__SET_SPEC;
}

void resil__admin_execute (resil_supervisor_t *self, resil__command_t *command)
{
    resil__tree_t *tree = self->tree;
    if (is_for_a_child (command->verb))
        resil__family_close_row (self);
    resil__author_move (&tree->author, author_of (command));
    execute (self, command);
    resil__author_set (&tree->author, NULL);
}
