/*  Ready-made sources that are no files: a clock or a count, lines by tcp, what is sent to a stage.

    They need not be registered: a spec names them as its type, and gives their options as its args,
    which must last as long as the pipeline, and are checked when that is made. None of them ends by
    itself, but a count that is at its end: resil_pipeline_drain does it.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_SOURCES_H
#define RESIL_SOURCES_H

#include <resil/pipeline.h>

/*  The type of a source: numbered records, one each so many milliseconds, or as fast as they are
    taken. The position is the number, from 1, and a record is the text of the options with the
    number behind it, in decimal. A time at which there was no room, as the stages behind are slow,
    is not made up for. Another run of the program begins at 1. */
#define RESIL_INTERVAL_SOURCE "interval"

/*  Begin with RESIL_INTERVAL: `resil_interval_t beat = {RESIL_INTERVAL, .every_ms = 1000};`. */
typedef struct {
    size_t size;      /*  of this struct; set by RESIL_INTERVAL                                */
    int64_t every_ms; /*  the first one comes at once. 0: as fast as they are taken             */
    uint64_t count;   /*  so many, and it is done; 0: for ever                                  */
    const char *text; /*  what a record begins with; NULL: nothing                              */
} resil_interval_t;

/*  Begins a resil_interval_t. */
#define RESIL_INTERVAL .size = sizeof (resil_interval_t)

/*  The type of a source: each line that comes by tcp is a record, without its newline; the lines of
    one connection in order. It listens, to any number of clients up to a bound, or connects to a
    server; a connection that ends or cannot be had is a failure of the stage then, which is tried
    again after its delay (resil_stage_spec_t). A last line without a newline is a record too, if
    the other side has closed the connection in order. The position counts the lines.

    When the stages behind are slow it does not read, and so the senders wait in the end. What has
    been read lives as long as the program: tcp cannot be asked again, so lines that were on their
    way when the program dies are lost, without a word to who has sent them. Nothing is encrypted,
    and nobody is asked who he is. */
#define RESIL_TCP_SOURCE "tcp"

/*  Begin with RESIL_TCP: `resil_tcp_t in = {RESIL_TCP, .port = "7000"};`. */
typedef struct {
    size_t size;          /*  of this struct; set by RESIL_TCP                                  */
    const char *host;     /*  a name or an address: to listen on, or to connect to; NULL:
                              127.0.0.1. To listen on all addresses: "0.0.0.0" or "::"         */
    const char *port;     /*  a number or the name of a service; required. To listen on "0" is to
                              listen on one that is free                                        */
    bool connects;        /*  to a server; else it listens                                     */
    unsigned clients_max; /*  at once, 100; others wait until one has gone                      */
    size_t line_max;      /*  a longer line comes as several records, each of so many bytes
                              but the last; 64 KiB. Memory: so much for each client at most     */
    unsigned *port_taken; /*  where the port that it listens on is written, before
                              resil_pipeline_start returns; NULL: nowhere                       */
} resil_tcp_t;

/*  Begins a resil_tcp_t. */
#define RESIL_TCP .size = sizeof (resil_tcp_t), .clients_max = 100, .line_max = 64 << 10

/*  The type of a source: what is sent to the component that the stage runs in (resil_cast,
    resil_send, resil_call), as one record each, without its tag. Its address is that of the stage's
    name, or its thread's, below resil_pipeline_supervisor (resil_supervisor_find). The position
    counts the messages. A call is answered, by an empty reply with its own tag, as soon as the
    pipeline has it.

    When the stages behind are slow messages wait in the mailbox, whose bounds and what happens
    there are as with any component. They live as long as the program. It has no options. */
#define RESIL_MAILBOX_SOURCE "mailbox"

#endif
