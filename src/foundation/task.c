/*  SPDX-License-Identifier: Apache-2.0 */
#include "foundation/task.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*  With so much of a core it is at work, whatever it is just now. */
#define SPINS_PERCENT 50

/*  The file of /proc about the thread, or the process of that id, in one piece, without its last newline; "" if it cannot be read. */
static void read_about (int id, bool is_process, const char *what, char *text, size_t room)
{
    char path[64];
    snprintf (path, sizeof path, is_process ? "/proc/%d/%s" : "/proc/self/task/%d/%s", id, what);
    int fd = open (path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? 0 : read (fd, text, room - 1);
    text[size > 0 ? size : 0] = 0;
    text[strcspn (text, "\n")] = 0;
    if (fd >= 0)
        close (fd);
}

/*  'R' it runs or could, 'S' it sleeps, 'D' it waits for a device, ... ; 0: not known. */
static char state_in (int id, bool is_process, const char *file)
{
    char stat[512];
    read_about (id, is_process, file, stat, sizeof stat);
    /*  "12 (name) S ...", where the name may have anything in it. */
    const char *name_end = strrchr (stat, ')');
    return name_end && name_end[1] == ' ' ? name_end[2] : 0;
}

/*  Of a process: is any thread of it at work? Its first one may wait for the others all the time. */
static bool has_one_that_runs (int id)
{
    char path[64], file[32];
    bool runs = false;
    snprintf (path, sizeof path, "/proc/%d/task", id);
    DIR *threads = opendir (path);
    for (struct dirent *each; threads && !runs && (each = readdir (threads));) {
        snprintf (file, sizeof file, "task/%d/stat", atoi (each->d_name));
        runs = state_in (id, true, file) == 'R';
    }
    if (threads)
        closedir (threads);
    return runs;
}

bool resil__task_is_stopped (int id)
{
    return id > 0 && state_in (id, true, "stat") == 'T';
}

void resil__task_describe (int id, bool is_process, int percent, char text[RESIL__TASK_TEXT])
{
    char place[40] = "";
    char state = id > 0 ? state_in (id, is_process, "stat") : 0;
    if (state && state != 'T' && is_process && has_one_that_runs (id))
        state = 'R';
    *text = 0;
    if (percent >= SPINS_PERCENT)
        snprintf (text, RESIL__TASK_TEXT, "spinning: %d %% of a core", percent);
    else if (state == 'R' && percent >= 0)
        snprintf (text, RESIL__TASK_TEXT, "ready to run, but got %d %% of a core", percent);
    else if (state == 'R')
        snprintf (text, RESIL__TASK_TEXT, "running");
    else if (state == 'T')
        snprintf (text, RESIL__TASK_TEXT, "stopped by a signal");
    else if (state) {
        /*  "0" is what the kernel says where it does not tell. */
        read_about (id, is_process, "wchan", place, sizeof place);
        bool is_told = *place && strcmp (place, "0") != 0;
        snprintf (text, RESIL__TASK_TEXT, "blocked%s%s", is_told ? " in " : "",
                  is_told ? place : "");
    }
}
