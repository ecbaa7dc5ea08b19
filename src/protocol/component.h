/*  The frames between a supervisor and a component in a process of its own, as bytes and back. What each of
    them means, and when who sends it, is in docs/protocols/component.md.

    Pure functions: no socket, no clock, no memory of their own. A frame that was decoded points into the bytes that
    it was decoded from; one that is to be encoded points to whatever its texts and bytes are.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_PROTOCOL_COMPONENT_H
#define RESIL_PROTOCOL_COMPONENT_H

#include <resil/message.h>

#include "protocol/rendezvous.h"

/*  The version that is spoken here, in the environment and in each header. */
#define RESIL__PROTOCOL 1

/*  What the environment of a child says. */
#define RESIL__ENV_PROTOCOL "RESIL_PROTOCOL"
#define RESIL__ENV_ERRORS "RESIL_ERRORS"
#define RESIL__ENV_CONTROL "RESIL_CONTROL"
#define RESIL__ENV_TOKEN "RESIL_TOKEN"
#define RESIL__ENV_PATH "RESIL_PATH"
#define RESIL__ENV_INCARNATION "RESIL_INCARNATION"
#define RESIL__ENV_TYPE "RESIL_TYPE"
#define RESIL__ENV_TRACE_FD "RESIL_TRACE_FD"

/*  First of what comes there from a program that hosts its components: the end was no accident. */
#define RESIL__TRACE_ENDED '\n'

#define RESIL__FRAME_HEADER 16u

/*  Texts are cut to these by who writes and by who reads; bytes that are longer are refused. */
#define RESIL__FRAME_NAME_MAX RESIL_NAME_MAX
#define RESIL__FRAME_PATH_MAX 1023
#define RESIL__FRAME_LABEL_MAX 255
#define RESIL__FRAME_TEXT_MAX 1023
#define RESIL__FRAME_STACK_MAX 16384
#define RESIL__FRAME_STATE_MAX (64u << 20)
#define RESIL__FRAME_MAIL_MAX RESIL_MESSAGE_MAX

/*  No frame is longer. */
#define RESIL__FRAME_MAX (RESIL_MESSAGE_MAX + 65536)

typedef enum {
    /*  on the errors socket: from the child (HELLO on both) */
    RESIL__FRAME_HELLO = 1,
    RESIL__FRAME_READY = 2,
    RESIL__FRAME_PROGRESS = 3,
    RESIL__FRAME_ERROR = 4,
    RESIL__FRAME_ENDS = 5,
    RESIL__FRAME_SAVE = 6,
    RESIL__FRAME_EXTEND = 7,
    RESIL__FRAME_WAITS = 8,
    RESIL__FRAME_TAKE = 16,
    RESIL__FRAME_HANDLED = 17,
    RESIL__FRAME_KEPT = 18,
    RESIL__FRAME_FIND = 19,
    RESIL__FRAME_SEND = 20,
    RESIL__FRAME_CALL = 21,
    RESIL__FRAME_REPLY = 22,
    RESIL__FRAME_DROP = 23,
    RESIL__FRAME_WATCH = 24,
    RESIL__FRAME_UNWATCH = 25,

    /*  on the control socket: from the parent */
    RESIL__FRAME_START = 64,
    RESIL__FRAME_ACK = 65,
    RESIL__FRAME_CANCEL = 66,
    RESIL__FRAME_RELOAD = 67,
    RESIL__FRAME_SAVED = 68,
    RESIL__FRAME_MAIL = 80,
    RESIL__FRAME_ANSWER = 81,
    RESIL__FRAME_RESULT = 82
} resil__frame_kind_t;

/*  How an incarnation has ended. */
typedef enum {
    RESIL__ENDS_COMPLETED = 1,
    RESIL__ENDS_FAILED,   /*  of the error that ERROR has told                         */
    RESIL__ENDS_PANICKED, /*  with the error                                           */
    RESIL__ENDS_CANCELLED,
    RESIL__ENDS_IGNORES,     /*  there is nothing to do here                              */
    RESIL__ENDS_RETURNED,    /*  start returned `rc` without a report; with the error     */
    RESIL__ENDS_START_FAILED /*  it could not begin; with the error                       */
} resil__ends_t;

/*  A text (without a NUL) or bytes. */
typedef struct {
    const void *at;
    size_t size;
} resil__bytes_t;

/*  What an error says. */
typedef struct {
    int32_t code;
    uint32_t line;
    resil__bytes_t file;
    resil__bytes_t text; /*  empty: there is no error                                 */
    resil__bytes_t stack;
} resil__frame_error_t;

typedef struct {
    uint8_t kind;         /*  resil__frame_kind_t, or another: it is to be ignored     */
    uint64_t incarnation; /*  whose it is                                              */
    union {
        struct {
            resil__bytes_t token;
            uint32_t pid;
        } hello;
        struct {
            resil__bytes_t label;
        } progress;
        struct {
            resil__frame_error_t error;
        } error;
        struct {
            uint8_t how; /*  resil__ends_t                                            */
            int32_t rc;
            resil__frame_error_t error;
        } ends;
        struct {
            uint64_t ticket; /*  0: no answer is wanted                               */
            resil__bytes_t bytes;
        } save;
        struct {
            int64_t ms;
        } extend;
        struct {
            uint8_t waits; /*  1: it waits for something; 0: it works                 */
        } waits;
        struct {
            uint64_t up_to; /*  the number of the last MAIL that may be sent          */
        } take;
        struct {
            uint64_t up_to; /*  the number of the last MAIL that has been handled     */
        } handled;
        struct {
            uint64_t mail; /*  the number of one MAIL                                 */
        } kept, drop;
        struct {
            uint64_t ticket;
            resil__bytes_t path;
        } find;
        struct {
            uint64_t ticket;
            uint64_t to; /*  an address, as ANSWER has given it                      */
            uint32_t tag;
            uint8_t full; /*  where the mailbox is: 0: refuse; 1: drop the oldest     */
            int64_t expires_ms;
            uint64_t mail; /*  that is sent on, with its right to a reply; 0: none    */
            resil__bytes_t bytes;
        } send;
        struct {
            uint64_t ticket;
            uint64_t to;
            uint32_t tag;
            int64_t timeout_ms;
            resil__bytes_t bytes;
        } call;
        struct {
            uint64_t ticket;
            uint64_t mail; /*  the call that is replied to                            */
            uint32_t tag;
            resil__bytes_t bytes;
        } reply;
        struct {
            uint64_t ticket;
            uint64_t whom;
            uint64_t context;
        } watch;
        struct {
            uint64_t ticket;
            uint64_t whom;
        } unwatch;
        struct {
            resil__bytes_t name;       /*  the component's                            */
            resil__bytes_t supervisor; /*  its path, without the first slash: "app"   */
            resil__bytes_t type;       /*  "": the program is none of resil's         */
            uint8_t has_args;
            resil__bytes_t args;
            uint8_t has_saved;
            resil__bytes_t saved;
            uint8_t ready_required;
            int64_t start_ms;
            int64_t shutdown_ms;
            int64_t hang_ms;
            uint64_t mailbox_messages;
            uint64_t mailbox_bytes;
            uint64_t address; /*  the component's own                                 */
        } start;
        struct {
            uint64_t ticket;
        } saved;
        struct {
            uint64_t number; /*  1, 2, ... in this incarnation                        */
            uint8_t kind;    /*  resil_message_kind_t: a cast, a call or a down       */
            uint32_t tag;
            uint64_t sender; /*  an address; 0: nobody                                */
            uint32_t deliveries;
            int32_t code;
            uint64_t context;
            resil__bytes_t bytes;
        } mail;
        struct {
            uint64_t ticket;
            int32_t error;       /*  an errno; 0: done                                */
            uint64_t value;      /*  of FIND: the address                             */
            resil__bytes_t text; /*  the sentence to the error                        */
        } answer;
        struct {
            uint64_t ticket;
            int32_t error; /*  an errno: there is no reply; 0: here it is             */
            uint32_t tag;
            uint64_t sender;
            resil__bytes_t bytes;
        } result;
    };
} resil__frame_t;

/*  How many bytes a frame takes; 0: it holds bytes that are longer than allowed, or its kind is none. */
size_t resil__frame_size (const resil__frame_t *frame);

/*  Write it into `room` bytes. Returns how many it took, or 0: it does not fit, or as above. */
size_t resil__frame_encode (const resil__frame_t *frame, void *bytes, size_t room);

/*  Read one. Returns 1; 0: its kind is none that is known here, to be ignored (`kind` and `incarnation` are read); or -1 with
    EPROTO and a sentence: it is broken. Bytes beyond the last field are passed over: a later
    version of the protocol may have more fields. */
int resil__frame_decode (resil__frame_t *frame, const void *bytes, size_t size);

/*  The name of a kind, as the document has it; "unknown". */
const char *resil__frame_name (unsigned kind);

/*  A text in a frame: of a string (NULL: ""); and into a string of `room` bytes with its NUL, cut if need be. */
resil__bytes_t resil__frame_text (const char *text);
char *resil__frame_string (resil__bytes_t text, char *string, size_t room);

#endif
