/*  A copy is one block: the struct, what was found out about its user, and then all that it points to. Two are equal if
    what they were copied from was; users are looked up anew only when the block is made.

    SPDX-License-Identifier: Apache-2.0 */
#include "component/program.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "foundation/errmsg.h"
#include "foundation/index.h"
#include "foundation/text.h"

#define LEAST_MEMORY (UINT64_C (1) << 20)
#define LEAST_DESCRIPTORS 16
#define MOST_NICE 39
#define MOST_ARGUMENTS 65536

/*  A name service that answers with more has groups that no setgroups takes. */
#define MOST_GROUPS 65536

typedef struct {
    resil__entry_t entry; /*  first: an entry is its block                             */
    size_t references;
    resil__program_t program;
} block_t;

static struct {
    pthread_mutex_t lock;
    resil__index_t blocks;
} the = {.lock = PTHREAD_MUTEX_INITIALIZER};

/*  ---- Checks ------------------------------------------------------------------------- */

static size_t count_of (const char *const *texts)
{
    size_t count = 0;
    while (texts && texts[count])
        count++;
    return count;
}

static int check_command (const char *what, const resil_process_t *process)
{
    if (!process->command)
        return 0;
    if (!process->command[0] || !process->command[0][0])
        return resil__refuse (EINVAL, "%s: process.command is empty; its first word is the program",
                              what);
    if (count_of (process->command) > MOST_ARGUMENTS)
        return resil__refuse (
            EINVAL, "%s: process.command has more than %d words; does it end with a NULL?", what,
            MOST_ARGUMENTS);
    return 0;
}

static int check_environment (const char *what, const resil_process_t *process)
{
    if (count_of (process->environment) > MOST_ARGUMENTS)
        return resil__refuse (
            EINVAL, "%s: process.environment has more than %d entries; does it end with a NULL?",
            what, MOST_ARGUMENTS);
    for (size_t i = 0; process->environment && process->environment[i]; i++) {
        const char *entry = process->environment[i];
        const char *equals = strchr (entry, '=');
        if (!equals || equals == entry)
            return resil__refuse (EINVAL,
                                  "%s: process.environment has \"%.64s\"; each entry is NAME=value",
                                  what, entry);
        if (strncmp (entry, "RESIL_", 6) == 0 && strncmp (entry, "RESIL_LOG=", 10) != 0 &&
            strncmp (entry, "RESIL_SHIM=", 11) != 0)
            return resil__refuse (EINVAL,
                                  "%s: process.environment sets \"%.64s\"; names that begin with "
                                  "RESIL_ are resil's own",
                                  what, entry);
    }
    return 0;
}

static int check_text (const char *what, const char *field, const char *text)
{
    if (!text || *text)
        return 0;
    return resil__refuse (EINVAL, "%s: process.%s is empty; leave it out (NULL)", what, field);
}

static int check_ms (const char *what, const char *field, int64_t ms, const char *none)
{
    if (ms >= -1 && ms <= RESIL_LONGEST_MS)
        return 0;
    return resil__refuse (EINVAL,
                          "%s: process.%s is %lld ms; it must be from 0 to a year, or -1 (%s)",
                          what, field, (long long) ms, none);
}

static bool speaks (const resil_process_t *process)
{
    return process->speaks || !process->command;
}

static int check_readiness (const char *what, const resil_process_t *process)
{
    if (check_ms (what, "ready_ms", process->ready_ms, "as soon as it runs") ||
        check_text (what, "ready_line", process->ready_line) ||
        check_ms (what, "term_ms", process->term_ms, "half of shutdown_ms"))
        return -1;
    if (speaks (process) && (process->ready_ms >= 0 || process->ready_line || process->notify))
        return resil__refuse (EINVAL,
                              "%s: process.%s is for a command that does not speak; this one says "
                              "itself when it is ready (ready_required)",
                              what,
                              process->ready_line ? "ready_line"
                              : process->notify   ? "notify"
                                                  : "ready_ms");
    if ((process->ready_ms >= 0) + (process->ready_line != NULL) + process->notify > 1)
        return resil__refuse (EINVAL,
                              "%s: of process.ready_ms, process.ready_line and process.notify more "
                              "than one is set; give one",
                              what);
    if (process->ready_line && strpbrk (process->ready_line, "\n"))
        return resil__refuse (EINVAL, "%s: process.ready_line holds a newline; it begins one line",
                              what);
    return 0;
}

static int check_spare (const char *what, const resil_process_t *process)
{
    if (!process->spare || speaks (process))
        return 0;
    return resil__refuse (
        EINVAL,
        "%s: process.spare is for a process that waits until it is told to begin, "
        "and a command that does not speak begins at once; set process.speaks, "
        "or leave spare out",
        what);
}

static int check_status (const char *what, const char *field, int status, int least)
{
    if (status >= least && status <= 255)
        return 0;
    return resil__refuse (EINVAL, "%s: process.%s is %d; an exit status is from 0 to 255", what,
                          field, status);
}

static int check_end (const char *what, const resil_process_t *process)
{
    if (process->stop_signal < 1 || process->stop_signal >= NSIG)
        return resil__refuse (EINVAL, "%s: process.stop_signal is %d; that is no signal", what,
                              process->stop_signal);
    if (process->success_count > RESIL_SUCCESS_MOST ||
        (process->success_count && !process->success))
        return resil__refuse (EINVAL, "%s: process.success_count is %zu%s; there may be %d at most",
                              what, process->success_count,
                              process->success ? "" : " and process.success is NULL",
                              RESIL_SUCCESS_MOST);
    for (size_t i = 0; i < process->success_count; i++)
        if (check_status (what, "success", process->success[i], 0))
            return -1;
    return process->stay_down == -1 ? 0 : check_status (what, "stay_down", process->stay_down, 1);
}

static int check_limits (const char *what, const resil_process_limits_t *limits)
{
    if (limits->memory_bytes && limits->memory_bytes < LEAST_MEMORY)
        return resil__refuse (EINVAL,
                              "%s: process.limits.memory_bytes is %llu; at least 1 MiB, or 0 (no "
                              "limit)",
                              what, (unsigned long long) limits->memory_bytes);
    if (limits->descriptors && limits->descriptors < LEAST_DESCRIPTORS)
        return resil__refuse (
            EINVAL, "%s: process.limits.descriptors is %llu; at least %d, or 0 (no limit)", what,
            (unsigned long long) limits->descriptors, LEAST_DESCRIPTORS);
    if (limits->core_bytes < -1)
        return resil__refuse (EINVAL,
                              "%s: process.limits.core_bytes is %lld; 0 (no core) or more, or -1 "
                              "(as this program)",
                              what, (long long) limits->core_bytes);
    if (limits->nice < -MOST_NICE - 1 || limits->nice > MOST_NICE)
        return resil__refuse (EINVAL, "%s: process.limits.nice is %d; it must be from %d to %d",
                              what, limits->nice, -MOST_NICE - 1, MOST_NICE);
    return 0;
}

static int check_sockets (const char *what, const resil_process_t *process)
{
    const char *names = process->socket_names;
    size_t count = process->socket_count, named = names ? 1 : count;
    if (count > RESIL_SOCKETS_MOST || (count && !process->sockets))
        return resil__refuse (EINVAL, "%s: process.socket_count is %zu%s; there may be %d at most",
                              what, count, process->sockets ? "" : " and process.sockets is NULL",
                              RESIL_SOCKETS_MOST);
    for (; names && *names; names++) {
        named += *names == ':';
        if ((unsigned char) *names < ' ' || *names == 127)
            return resil__refuse (EINVAL, "%s: process.socket_names holds a control character",
                                  what);
    }
    if (named != count)
        return resil__refuse (EINVAL, "%s: process.socket_names has %zu names for %zu sockets",
                              what, named, count);
    return 0;
}

int resil__program_check (const char *what, const resil_process_t *process)
{
    if (process->size != sizeof *process)
        return resil__refuse (EINVAL,
                              "%s: process.size is %zu, and %zu here; begin it with "
                              "RESIL_PROCESS_OPTIONS, and compile with the headers of the library "
                              "that is linked",
                              what, process->size, sizeof *process);
    return check_command (what, process) || check_environment (what, process) ||
                   check_text (what, "directory", process->directory) ||
                   check_text (what, "user", process->user) ||
                   check_text (what, "group", process->group) || check_readiness (what, process) ||
                   check_end (what, process) || check_limits (what, &process->limits) ||
                   check_sockets (what, process) || check_spare (what, process)
               ? -1
               : 0;
}

/*  ---- Users -------------------------------------------------------------------------- */

static bool is_number (const char *text, unsigned long *number)
{
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    *number = strtoul (text, &end, 10);
    return *end == 0 && errno == 0 && *number < UINT32_MAX;
}

static int find_user (const char *what, const char *user, struct passwd **found,
                      struct passwd *room, char *bytes, size_t size)
{
    unsigned long number;
    int error = is_number (user, &number) ? getpwuid_r ((uid_t) number, room, bytes, size, found)
                                          : getpwnam_r (user, room, bytes, size, found);
    if (*found)
        return 0;
    return error ? resil__refuse (error, "%s: process.user \"%s\" cannot be looked up: %s", what,
                                  user, strerror (error))
                 : resil__refuse (ENOENT, "%s: process.user is \"%s\", and there is no such user",
                                  what, user);
}

static int find_group (const char *what, const char *group, gid_t *gid)
{
    char bytes[16384];
    struct group room, *found = NULL;
    unsigned long number;
    if (is_number (group, &number)) {
        *gid = (gid_t) number;
        return 0;
    }
    int error = getgrnam_r (group, &room, bytes, sizeof bytes, &found);
    if (!found)
        return error ? resil__refuse (error, "%s: process.group \"%s\" cannot be looked up: %s",
                                      what, group, strerror (error))
                     : resil__refuse (ENOENT,
                                      "%s: process.group is \"%s\", and there is no such group",
                                      what, group);
    *gid = found->gr_gid;
    return 0;
}

static int find_groups (const char *what, resil__program_t *program, const char *name)
{
    int count = 64;
    for (;;) {
        gid_t *groups = realloc (program->groups, (size_t) count * sizeof *groups);
        if (!groups)
            return resil__refuse (ENOMEM, "%s: no memory for the groups of \"%s\"", what, name);
        program->groups = groups;
        int room = count;
        if (getgrouplist (name, program->gid, groups, &count) >= 0)
            break;
        if (count <= room)
            count = room * 2;
        if (count > MOST_GROUPS)
            return resil__refuse (EINVAL, "%s: \"%s\" is in too many groups", what, name);
    }
    program->group_count = (size_t) count;
    return 0;
}

/*  As whom it is to run, by number. */
static int look_up (const char *what, resil__program_t *program)
{
    char bytes[16384];
    struct passwd room, *found = NULL;
    const resil_process_t *is = &program->is;
    if (is->group && find_group (what, is->group, &program->gid))
        return -1;
    program->has_group = is->group != NULL;
    if (!is->user)
        return 0;
    if (find_user (what, is->user, &found, &room, bytes, sizeof bytes))
        return -1;
    program->has_user = true;
    program->uid = found->pw_uid;
    if (!program->has_group)
        program->gid = found->pw_gid;
    program->has_group = true;
    return find_groups (what, program, found->pw_name);
}

/*  ---- Copies -------------------------------------------------------------------------- */

static bool same_text (const char *a, const char *b)
{
    return a == b || (a && b && strcmp (a, b) == 0);
}

static bool same_texts (const char *const *a, const char *const *b)
{
    if (!a || !b)
        return a == b;
    size_t i = 0;
    while (a[i] && b[i] && strcmp (a[i], b[i]) == 0)
        i++;
    return !a[i] && !b[i];
}

/*  Those with sockets never are: the same number may be another socket by now. */
static bool same (const resil_process_t *a, const resil_process_t *b)
{
    const resil_process_limits_t *one = &a->limits, *other = &b->limits;
    return a->socket_count == 0 && b->socket_count == 0 && same_texts (a->command, b->command) &&
           same_texts (a->environment, b->environment) && same_text (a->directory, b->directory) &&
           same_text (a->user, b->user) && same_text (a->group, b->group) &&
           a->speaks == b->speaks && a->spare == b->spare && a->notify == b->notify &&
           a->ready_ms == b->ready_ms && same_text (a->ready_line, b->ready_line) &&
           a->stop_signal == b->stop_signal && a->term_ms == b->term_ms &&
           a->success_count == b->success_count &&
           (a->success_count == 0 ||
            memcmp (a->success, b->success, a->success_count * sizeof *a->success) == 0) &&
           a->stay_down == b->stay_down && one->memory_bytes == other->memory_bytes &&
           one->cpu_seconds == other->cpu_seconds && one->descriptors == other->descriptors &&
           one->core_bytes == other->core_bytes && one->nice == other->nice;
}

static uint64_t hash_of (const resil_process_t *process)
{
    uint64_t hash = 1;
    for (size_t i = 0; process->command && process->command[i]; i++)
        hash = hash * 31 + resil__text_hash (process->command[i]);
    return hash;
}

static size_t size_of_text (const char *text)
{
    return text ? strlen (text) + 1 : 0;
}

/*  With the pointers to them. */
static size_t size_of_texts (const char *const *texts)
{
    size_t size = texts ? sizeof *texts : 0;
    for (size_t i = 0; texts && texts[i]; i++)
        size += sizeof *texts + size_of_text (texts[i]);
    return size;
}

static const char *put_text (char **end, const char *text)
{
    if (!text)
        return NULL;
    char *copy = strcpy (*end, text);
    *end += strlen (text) + 1;
    return copy;
}

/*  The pointers come first, from `place` on; the texts go to *end. */
static const char *const *put_texts (void **place, char **end, const char *const *texts)
{
    if (!texts)
        return NULL;
    const char **copy = *place;
    size_t i = 0;
    for (; texts[i]; i++)
        copy[i] = put_text (end, texts[i]);
    copy[i] = NULL;
    *place = copy + i + 1;
    return copy;
}

static block_t *copy (const resil_process_t *from)
{
    size_t pointers =
        (count_of (from->command) + count_of (from->environment) + 2) * sizeof (const char *);
    size_t numbers = (from->success_count + from->socket_count) * sizeof *from->success;
    size_t texts = size_of_texts (from->command) + size_of_texts (from->environment) +
                   size_of_text (from->directory) + size_of_text (from->user) +
                   size_of_text (from->group) + size_of_text (from->ready_line) +
                   size_of_text (from->socket_names);
    block_t *block = calloc (1, sizeof *block + pointers + numbers + texts);
    if (!block)
        return NULL;
    void *place = block + 1;
    int *statuses = (int *) (void *) ((char *) place + pointers);
    char *end = (char *) statuses + numbers;
    resil_process_t *is = &block->program.is;
    *is = *from;
    is->command = put_texts (&place, &end, from->command);
    is->environment = put_texts (&place, &end, from->environment);
    is->directory = put_text (&end, from->directory);
    is->user = put_text (&end, from->user);
    is->group = put_text (&end, from->group);
    is->ready_line = put_text (&end, from->ready_line);
    is->socket_names = put_text (&end, from->socket_names);
    is->success = from->success_count ? statuses : NULL;
    for (size_t i = 0; i < from->success_count; i++)
        statuses[i] = from->success[i];
    is->sockets = from->socket_count ? statuses + from->success_count : NULL;
    is->socket_count = 0; /*  none of them is ours yet                                   */
    block->program.speaks = speaks (from);
    return block;
}

static void discard (block_t *block)
{
    if (!block)
        return;
    for (size_t i = 0; i < block->program.is.socket_count; i++)
        close (block->program.is.sockets[i]);
    free (block->program.groups);
    free (block);
}

/*  0, or -1 with errno and a sentence. */
static int keep_sockets (const char *what, block_t *block, const resil_process_t *from)
{
    resil_process_t *is = &block->program.is;
    int *sockets = (int *) (uintptr_t) is->sockets; /*  in the block                       */
    for (; is->socket_count < from->socket_count; is->socket_count++) {
        int given = from->sockets[is->socket_count];
        sockets[is->socket_count] = fcntl (given, F_DUPFD_CLOEXEC, 0);
        if (sockets[is->socket_count] < 0)
            return resil__refuse (errno, "%s: process.sockets has the descriptor %d: %s", what,
                                  given, strerror (errno));
    }
    return 0;
}

static block_t *find (const resil_process_t *process, uint64_t hash)
{
    resil__entry_t *entry = resil__index_first (&the.blocks, hash);
    while (entry && !same (&((block_t *) entry)->program.is, process))
        entry = resil__index_next (entry);
    return (block_t *) entry;
}

/*  The one that is there already, or NULL. */
static block_t *retain (const resil_process_t *process, uint64_t hash)
{
    block_t *block = find (process, hash);
    if (block)
        block->references++;
    return block;
}

const resil_process_t *resil__program_keep (const char *what, const resil_process_t *process)
{
    uint64_t hash = hash_of (process);
    pthread_mutex_lock (&the.lock);
    block_t *block = retain (process, hash);
    pthread_mutex_unlock (&the.lock);
    if (block)
        return &block->program.is;
    block_t *made = copy (process);
    if (!made || look_up (what, &made->program) || keep_sockets (what, made, process)) {
        int error = made ? errno : ENOMEM;
        discard (made);
        if (error == ENOMEM)
            resil__refuse (ENOMEM, "%s: no memory for its command", what);
        errno = error;
        return NULL;
    }
    pthread_mutex_lock (&the.lock);
    block = retain (process, hash);
    if (!block && resil__index_reserve (&the.blocks, the.blocks.count + 1) == 0) {
        block = made;
        made = NULL;
        block->references = 1;
        block->entry.hash = hash;
        resil__index_add (&the.blocks, &block->entry);
    }
    pthread_mutex_unlock (&the.lock);
    discard (made);
    if (!block)
        resil__refuse (ENOMEM, "%s: no memory for its command", what);
    return block ? &block->program.is : NULL;
}

void resil__program_release (const resil_process_t *process)
{
    if (!process)
        return;
    block_t *block = (block_t *) ((uintptr_t) process - offsetof (block_t, program));
    pthread_mutex_lock (&the.lock);
    bool is_last = --block->references == 0;
    if (is_last)
        resil__index_remove (&the.blocks, &block->entry);
    if (the.blocks.count == 0)
        resil__index_release (&the.blocks);
    pthread_mutex_unlock (&the.lock);
    if (is_last)
        discard (block);
}
