/*  What sd_notify(3) sends: lines of VARIABLE=value in a datagram.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_PROCESS_NOTICE_H
#define RESIL_PROCESS_NOTICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*  The longest message, which is as much as systemd reads. */
#define RESIL__NOTIFY_MAX 4096

/*  One line of a message, without its newline, and where the next begins. False: there is none. */
typedef struct {
    const char *text;
    size_t size;
} resil__notify_line_t;
bool resil__notify_next (const char **at, const char *end, resil__notify_line_t *line);

/*  Is it that one ("READY=1")? Does it begin so ("MAINPID=")? */
bool resil__notify_is (resil__notify_line_t line, const char *text);
bool resil__notify_begins (resil__notify_line_t line, const char *text);

/*  What a service has said in one message. */
typedef struct {
    bool is_ready;
    bool is_reloading;
    bool is_stopping;
    bool is_alive;      /*  WATCHDOG=1                                                 */
    bool is_hung;       /*  WATCHDOG=trigger                                           */
    int64_t extend_us;  /*  EXTEND_TIMEOUT_USEC=; -1: nothing of that                  */
    int error;          /*  ERRNO=; 0: nothing of that                                 */
    const char *status; /*  STATUS=, within the message; NULL: nothing of that         */
    size_t status_size;
} resil__notice_t;

/*  Read it. What is not known, and what makes no sense, is passed over. */
resil__notice_t resil__notice_read (const char *message, size_t size);

#endif
