/*  The frames of the link protocol, as bytes and back. What each of them means, and what each side does with it in
    which state, is in docs/protocols/link.md.

    Pure functions: no socket, no clock, no memory of their own. Within a process a frame goes from one side to the
    other as this struct; bytes are made of it only where it leaves the process.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_LINK_FRAME_H
#define RESIL_LINK_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RESIL__LINK_PROTOCOL 1
#define RESIL__LINK_HEADER 96u

/*  The longest payload. */
#define RESIL__LINK_PAYLOAD_MAX ((size_t) 1 << 30)

/*  No number in a frame is greater, so that none overflows where two are added. */
#define RESIL__LINK_NUMBER_MAX (UINT64_C (1) << 62)

struct _resil__record_batch_t;

typedef enum {
    RESIL__LINK_HELLO = 1, /*  sender: who I am, and what I hold                      */
    RESIL__LINK_WELCOME,   /*  receiver: go on from here, so far                      */
    RESIL__LINK_DATA,      /*  sender: one batch                                      */
    RESIL__LINK_ACK,       /*  receiver: all up to here is done; go on so far         */
    RESIL__LINK_NACK,      /*  receiver: say hello, or go back to here                */
    RESIL__LINK_PING,      /*  sender: all below this has been sent; are you there?   */
    RESIL__LINK_EOS,       /*  sender: there is no more; numbered as a batch          */
    RESIL__LINK_BYE,       /*  either: this link is at its end                        */
    RESIL__LINK_TYPES
} resil__link_type_t;

/*  The reason of a NACK, and of a BYE. */
enum {
    RESIL__LINK_WHO = 1, /*  say hello                                              */
    RESIL__LINK_RESEND,  /*  go back                                                */
    RESIL__LINK_COMPLETED = 1,
    RESIL__LINK_ABORTED
};

/*  What a type has no use for is 0 when it was decoded, and sent as 0. */
typedef struct {
    uint8_t type;
    uint8_t reason;
    uint32_t count;   /*  of the records in it                                      */
    uint64_t link;    /*  which one; never 0                                        */
    uint64_t session; /*  of the numbering; 0: the receiver knows none              */
    uint64_t sender;  /*  incarnations; 0: not known                                */
    uint64_t receiver;
    uint64_t sequence;
    uint64_t position;      /*  how many bytes of payload went before it in the session   */
    uint64_t limit_batches; /*  the last sequence that may be sent                        */
    uint64_t limit_bytes;   /*  what begins below it may be sent                          */
    const void *payload;
    size_t size;                          /*  of the payload                                     */
    struct _resil__record_batch_t *batch; /*  that it is of, borrowed; NULL: bytes were decoded  */
} resil__link_frame_t;

/*  How long it is as bytes. */
size_t resil__link_frame_size (const resil__link_frame_t *frame);

/*  Returns how long it is; 0: it does not fit, or has a type or numbers that no frame has. */
size_t resil__link_frame_encode (const resil__link_frame_t *frame, void *bytes, size_t room);

/*  Only the header, for a payload that is sent behind it from where it is. false: as 0. */
bool resil__link_frame_encode_header (const resil__link_frame_t *frame,
                                      unsigned char header[RESIL__LINK_HEADER]);

/*  1: a frame, whose payload is among the bytes. 0: one of a type that is not known here: to be ignored. -1 with
    EPROTO and a sentence: no frame. Nothing beyond `size` bytes is looked at. */
int resil__link_frame_decode (resil__link_frame_t *frame, const void *bytes, size_t size);

/*  Does it have all that its type needs, and nothing that cannot be? 0, or -1 with EPROTO and a sentence. For a frame
    that was not decoded; decoding has looked. */
int resil__link_frame_check (const resil__link_frame_t *frame);

/*  "HELLO", "NACK"; "unknown". */
const char *resil__link_frame_name (unsigned type);

#endif
