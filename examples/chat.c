/*  chat: rooms and hundreds of users in two threads; some users fail, are started again, and nobody loses a line.

        lobby (one for one, ends when all users have completed)
            room 1 to 8      lets users in; what one says is passed on to all of them, in order
            user 1 to 400    joins a room, says ten lines there by a timer, completes when it has heard all

    Ten users are clumsy: each fails once with a line in hand, and once at its timer. Such a line is delivered
    again to the next incarnation, as their spec says (deliver_again); what comes meanwhile waits in
    the mailbox; and what a user has said and heard is in its arguments, which outlive incarnations.

    Usage: chat [SEED]    says which users are clumsy, and when; 1 unless given.
    Ends with 0 if everybody has heard everything in order, with 1 if not.

    SPDX-License-Identifier: Apache-2.0 */
#include <resil.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define ROOMS 8
#define IN_A_ROOM 50
#define USERS (ROOMS * IN_A_ROOM)
#define LINES 10
#define TO_HEAR (IN_A_ROOM * LINES)
#define CLUMSY 10
#define PAUSE_MS 10
#define PATIENCE_MS 60000

enum { JOIN = 1, OPEN, SAY, HEAR }; /*  tags                                                     */
enum { SPEAK = 1 };                 /*  timers                                                   */

typedef struct {
    int user; /*  its place in the room                                    */
    int line;
} line_t;

typedef struct {
    int count;
    resil_address_t here[IN_A_ROOM];
} room_t;

typedef struct {
    const char *room;
    int place; /*  in the room                                              */
    bool is_open;
    int said, heard;
    int heard_of[IN_A_ROOM]; /*  lines of each                                            */
    int out_of_order;
    int trips_at_line; /*  that it hears; -1: at none                               */
    bool trips_at_timer;
} user_t;

static room_t rooms[ROOMS];
static user_t users[USERS];

/*  ---- Rooms ---- */

static int let_in (resil_self_t *self, room_t *room, resil_message_t *request)
{
    resil_address_t user = resil_message_sender (request);
    int place = 0;
    while (place < room->count && !resil_address_same (room->here[place], user))
        place++; /*  who asks twice has the same place                        */
    if (place == IN_A_ROOM)
        return resil_fail (self, ENOSPC, "the room is full");
    room->here[place] = user;
    if (place == room->count)
        room->count++;
    if (resil_reply (request, JOIN, &place, sizeof place) && errno == ENOMEM)
        return resil_fail (self, errno, "%s", resil_errmsg ());
    return 0; /*  other errors: it waits no more                            */
}

static int tell_all (resil_self_t *self, const room_t *room, uint32_t tag, const line_t *line)
{
    for (int i = 0; i < room->count; i++)
        if (resil_cast (room->here[i], tag, line, line ? sizeof *line : 0) && errno != ESHUTDOWN)
            return resil_fail (self, errno, "user %d: %s", i, resil_errmsg ());
    return 0;
}

static int room_on_message (resil_self_t *self, void *args, resil_message_t *message)
{
    room_t *room = args;
    switch (resil_message_tag (message)) {
    case JOIN:
        if (let_in (self, room, message))
            return -1;
        return room->count == IN_A_ROOM ? tell_all (self, room, OPEN, NULL) : 0;
    case SAY:
        return tell_all (self, room, HEAR, resil_message_data (message));
    default:
        return resil_fail (self, EINVAL, "tag %d", (int) resil_message_tag (message));
    }
}

/*  ---- Users ---- */

static int user_on_start (resil_self_t *self, void *args)
{
    user_t *user = args;
    resil_address_t room;
    if (user->is_open) /*  another incarnation was there                            */
        return resil_timer_set (self, SPEAK, PAUSE_MS, PAUSE_MS);
    if (resil_self_find (self, user->room, &room) ||
        resil_call_async (self, room, JOIN, NULL, 0, PATIENCE_MS, 0))
        return resil_fail (self, errno, "%s", resil_errmsg ());
    return 0;
}

static int user_on_reply (resil_self_t *self, void *args, resil_message_t *reply)
{
    user_t *user = args;
    if (resil_message_error (reply))
        return resil_fail (self, resil_message_error (reply), "not let into %s", user->room);
    user->place = *(const int *) resil_message_data (reply);
    return 0;
}

static int hear (resil_self_t *self, user_t *user, const line_t *line)
{
    if (user->heard == user->trips_at_line) {
        user->trips_at_line = -1;
        resil_panic (self, 0, "tripped over line %d of %d", line->line, line->user);
    }
    if (user->heard_of[line->user]++ != line->line)
        user->out_of_order++;
    return ++user->heard == TO_HEAR ? RESIL_DONE : 0;
}

static int user_on_message (resil_self_t *self, void *args, resil_message_t *message)
{
    user_t *user = args;
    switch (resil_message_tag (message)) {
    case OPEN:
        user->is_open = true;
        return resil_timer_set (self, SPEAK, PAUSE_MS, PAUSE_MS);
    case HEAR:
        return hear (self, user, resil_message_data (message));
    default:
        return resil_fail (self, EINVAL, "tag %d", (int) resil_message_tag (message));
    }
}

/*  What was said is counted when it is in the room's mailbox; if that is full, the next time will do. */
static int user_on_timer (resil_self_t *self, void *args, resil_message_t *timer)
{
    user_t *user = args;
    resil_address_t room;
    line_t line = {user->place, user->said};
    (void) timer;
    if (user->said == LINES)
        return resil_timer_clear (self, SPEAK);
    if (user->trips_at_timer && user->said == LINES / 2) {
        user->trips_at_timer = false;
        return resil_fail (self, 0, "lost for words");
    }
    if (resil_self_find (self, user->room, &room) || resil_cast (room, SAY, &line, sizeof line))
        return errno == EAGAIN ? 0 : resil_fail (self, errno, "%s", resil_errmsg ());
    user->said++;
    return 0;
}

/*  ---- The lobby ---- */

static void choose_the_clumsy (unsigned seed)
{
    uint64_t state = seed;
    for (int i = 0; i < USERS; i++)
        users[i].trips_at_line = -1;
    for (int i = 0; i < CLUMSY;) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        user_t *user = &users[(state >> 33) % USERS];
        if (user->trips_at_timer)
            continue;
        user->trips_at_timer = true;
        user->trips_at_line = (int) (state >> 43) % TO_HEAR;
        i++;
    }
}

static int add (resil_supervisor_t *lobby, const char *type, int number, void *args)
{
    char name[32];
    snprintf (name, sizeof name, "%s %d", type, number + 1);
    resil_spec_t spec = {RESIL_SPEC, .name = name, .type = type, .args = args};
    spec.placement = RESIL_SHARED;
    spec.deliver_again = 1;
    spec.significant = *type == 'u';
    return resil_supervisor_add (lobby, &spec);
}

static int fill (resil_supervisor_t *lobby)
{
    static char names[ROOMS][32];
    for (int i = 0; i < ROOMS; i++) {
        snprintf (names[i], sizeof names[i], "room %d", i + 1);
        if (add (lobby, "room", i, &rooms[i]))
            return -1;
    }
    for (int i = 0; i < USERS; i++) {
        users[i].room = names[i % ROOMS];
        if (add (lobby, "user", i, &users[i]))
            return -1;
    }
    return 0;
}

static resil_supervisor_t *open_lobby (void)
{
    static const resil_type_t room = {RESIL_TYPE, .name = "room", .on_message = room_on_message};
    static const resil_type_t user = {
        RESIL_TYPE,
        .name = "user",
        .on_start = user_on_start,
        .on_message = user_on_message,
        .on_reply = user_on_reply,
        .on_timer = user_on_timer,
    };
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    options.name = "lobby";
    options.auto_shutdown = RESIL_SHUTDOWN_ALL_SIGNIFICANT;
    resil_supervisor_t *lobby = resil_supervisor_new (&options);
    if (lobby && resil_type_register (&room) == 0 && resil_type_register (&user) == 0 &&
        resil_supervisor_set_pool (lobby, "shared", 2) == 0 && fill (lobby) == 0)
        return lobby;
    fprintf (stderr, "chat: %s\n", resil_errmsg ());
    resil_supervisor_destroy (&lobby);
    return NULL;
}

static void print_restarts (resil_supervisor_t *lobby)
{
    resil_snapshot_t *snapshot = resil_supervisor_snapshot (lobby);
    for (size_t i = 0; i < resil_snapshot_size (snapshot); i++) {
        const resil_standing_t *is = resil_snapshot_at (snapshot, i);
        if (is->error)
            printf ("%s came back %d times, the last time after: %s\n", is->name,
                    (int) is->restarts, resil_error_text (is->error));
    }
    resil_snapshot_destroy (&snapshot);
}

/*  When all has ended. */
static bool is_complete (void)
{
    long said = 0, heard = 0, out_of_order = 0;
    for (int i = 0; i < USERS; i++) {
        said += users[i].said;
        heard += users[i].heard;
        out_of_order += users[i].out_of_order;
    }
    printf ("%ld lines were said, and heard %ld times, %ld of them out of order\n", said, heard,
            out_of_order);
    return said == USERS * LINES && heard == (long) USERS * TO_HEAR && out_of_order == 0;
}

int main (int argc, char **argv)
{
    char none[] = "", *end = none;
    unsigned long seed = argc > 1 ? strtoul (argv[1], &end, 10) : 1;
    if (argc > 2 || *end) {
        fprintf (stderr, "usage: chat [SEED]\n");
        return 2;
    }
    choose_the_clumsy ((unsigned) seed);
    resil_supervisor_t *lobby = open_lobby ();
    if (!lobby)
        return 1;
    printf ("%d users in %d rooms, %d of them clumsy, in 2 threads\n", USERS, ROOMS, CLUMSY);
    bool ended =
        resil_supervisor_spawn (lobby) == 0 && resil_supervisor_wait (lobby, PATIENCE_MS) == 0;
    if (!ended)
        fprintf (stderr, "chat: %s\n", resil_errmsg ());
    print_restarts (lobby);
    resil_supervisor_destroy (&lobby);
    bool complete = is_complete ();
    printf ("%s\n", ended && complete ? "nothing was lost" : "something was lost");
    return ended && complete ? 0 : 1;
}
