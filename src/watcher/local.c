/*  SPDX-License-Identifier: Apache-2.0 */
#include "watcher/local.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "foundation/errmsg.h"
#include "protocol/home.h"

/*  Names in a sentence. */
#define NAMES_MAX 400

/*  ---- Finding them ------------------------------------------------------------------------- */

/*  Take the number behind the last dash off a name; 0: there is none. */
static int take_number (char *name)
{
    char *dash = strrchr (name, '-');
    if (!dash || dash == name || !dash[1] || strspn (dash + 1, "0123456789") != strlen (dash + 1) ||
        strlen (dash + 1) > 9)
        return 0;
    *dash = 0;
    return atoi (dash + 1);
}

static bool is_process (int pid)
{
    char path[32];
    struct stat is;
    snprintf (path, sizeof path, "/proc/%d", pid);
    return stat (path, &is) == 0 && is.st_uid == geteuid ();
}

/*  A folder's name is the program's, its process id, and a number if it has several. */
static bool parse_name (const char *folder, resil_local_program_t *program)
{
    char name[NAME_MAX + 1], shorter[NAME_MAX + 1];
    snprintf (name, sizeof name, "%s", folder);
    program->pid = take_number (name);
    strcpy (shorter, name);
    int pid = take_number (shorter);
    if (pid > program->pid && is_process (pid)) {
        program->pid = pid;
        strcpy (name, shorter);
    }
    snprintf (program->name, sizeof program->name, "%.*s", (int) sizeof program->name - 1, name);
    return program->pid > 0;
}

/*  Whoever lives holds the lock. */
static bool lives (const char *home, const char *folder)
{
    char path[PATH_MAX + NAME_MAX + 8];
    snprintf (path, sizeof path, "%s/%s/lock", home, folder);
    int fd = open (path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return false;
    bool is_locked = flock (fd, LOCK_SH | LOCK_NB) && errno == EWOULDBLOCK;
    close (fd);
    return is_locked;
}

static int compare (const void *one, const void *other)
{
    const resil_local_program_t *a = one, *b = other;
    int order = strcmp (a->name, b->name);
    if (order)
        return order;
    return a->pid != b->pid ? (a->pid < b->pid ? -1 : 1) : strcmp (a->endpoint, b->endpoint);
}

static resil_local_program_t *read_home (const char *home, DIR *folders, size_t *count)
{
    size_t room = 8;
    resil_local_program_t *programs = malloc (room * sizeof *programs);
    for (struct dirent *entry; programs && (entry = readdir (folders));) {
        resil_local_program_t program = {.pid = 0};
        int length = snprintf (program.endpoint, sizeof program.endpoint, "ipc://%s/%s/events",
                               home, entry->d_name);
        if (length >= (int) sizeof program.endpoint || !parse_name (entry->d_name, &program) ||
            !lives (home, entry->d_name))
            continue;
        if (*count == room) {
            void *larger = realloc (programs, 2 * room * sizeof *programs);
            if (!larger)
                free (programs);
            programs = larger;
            room *= 2;
        }
        if (programs)
            programs[(*count)++] = program;
    }
    return programs;
}

resil_local_program_t *resil_local_programs (size_t *count)
{
    char home[RESIL__HOME_MAX];
    *count = 0;
    if (resil__home_path (home) || (resil__home_check (home) && errno != ENOENT))
        return NULL;
    DIR *folders = opendir (home);
    resil_local_program_t *programs =
        folders ? read_home (home, folders, count) : malloc (sizeof *programs);
    if (folders)
        closedir (folders);
    if (!programs) {
        resil__refuse (ENOMEM, "no memory for the list of programs");
        return NULL;
    }
    qsort (programs, *count, sizeof *programs, compare);
    return programs;
}

/*  ---- Which is meant ----------------------------------------------------------------------- */

static int keep (const char *text, const char *before, char endpoint[RESIL__ENDPOINT_MAX])
{
    if (snprintf (endpoint, RESIL__ENDPOINT_MAX, "%s%s", before, text) < RESIL__ENDPOINT_MAX)
        return 0;
    return resil__refuse (EINVAL, "an endpoint has at most %d characters", RESIL__ENDPOINT_MAX - 1);
}

/*  "host:7350", "[::1]:7350". */
static bool has_port (const char *text)
{
    const char *colon = strrchr (text, ':');
    return colon && colon != text && colon[1] &&
           strspn (colon + 1, "0123456789") == strlen (colon + 1) && strlen (colon + 1) <= 5 &&
           atoi (colon + 1) <= UINT16_MAX;
}

static bool is_meant (const resil_local_program_t *program, const char *where)
{
    char pid[16];
    snprintf (pid, sizeof pid, "%d", program->pid);
    return !*where || strcmp (where, program->name) == 0 || strcmp (where, pid) == 0;
}

static void name_all (const resil_local_program_t *programs, size_t count, const char *where,
                      char names[NAMES_MAX])
{
    size_t size = 0;
    *names = 0;
    for (size_t i = 0; i < count && size < NAMES_MAX - 100; i++)
        if (is_meant (&programs[i], where))
            size += (size_t) snprintf (names + size, NAMES_MAX - size, "%s%s (%d)",
                                       size ? ", " : "", programs[i].name, programs[i].pid);
}

static int find (const resil_local_program_t *programs, size_t count, const char *where,
                 char endpoint[RESIL__ENDPOINT_MAX])
{
    char names[NAMES_MAX];
    size_t found = 0, meant = 0;
    for (size_t i = 0; i < count; i++)
        if (is_meant (&programs[i], where)) {
            found = i;
            meant++;
        }
    if (meant == 1)
        return keep (programs[found].endpoint, "", endpoint);
    name_all (programs, count, meant ? where : "", names);
    if (meant > 1)
        return resil__refuse (
            EEXIST, "several programs are running: say which, by its process id: %s", names);
    if (!count)
        return resil__refuse (
            ENOENT,
            "no program of yours that can be watched runs here%s%s%s: start one with "
            "RESIL_MONITOR=1 in its environment, or say where it is, as "
            "tcp://HOST:PORT",
            *where ? ", none called \"" : "", where, *where ? "\"" : "");
    return resil__refuse (ENOENT, "no program called \"%s\" runs here; running are: %s", where,
                          names);
}

int resil__local_resolve (const char *where, char endpoint[RESIL__ENDPOINT_MAX])
{
    if (!where || !*where)
        where = getenv ("RESIL_ENDPOINT");
    if (!where)
        where = "";
    if (strncmp (where, "tcp://", 6) == 0 && !has_port (where + 6))
        return resil__refuse (EINVAL, "\"%s\" has no port, from 1 to 65535: tcp://HOST:PORT",
                              where);
    if (strncmp (where, "tcp://", 6) == 0 || strncmp (where, "ipc:///", 7) == 0)
        return keep (where, "", endpoint);
    if (strstr (where, "://"))
        return resil__refuse (EINVAL,
                              "\"%s\" is no endpoint that can be watched: tcp://HOST:PORT or "
                              "ipc:///PATH, or a program's name or process id",
                              where);
    if (has_port (where))
        return keep (where, "tcp://", endpoint);
    size_t count;
    resil_local_program_t *programs = resil_local_programs (&count);
    int rc = programs ? find (programs, count, where, endpoint) : -1;
    int error = errno;
    free (programs);
    errno = error;
    return rc;
}
