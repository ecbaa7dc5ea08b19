/*  A table says which fields each type has, and which of them must not be 0; the header has the same places for all.

    SPDX-License-Identifier: Apache-2.0 */
#include "link/frame.h"

#include <errno.h>
#include <string.h>

#include "foundation/crc32c.h"
#include "foundation/errmsg.h"
#include "foundation/number.h"

#define MAGIC_0 'r'
#define MAGIC_1 'l'

/*  Where what all frames have is in the header. */
enum { AT_VERSION = 2, AT_TYPE = 3, AT_REASON = 4, AT_COUNT = 8, AT_CRC = 12, AT_SIZE = 88 };

/*  ---- The table ------------------------------------------------------------------------------------- */

typedef enum {
    LINK,
    SESSION,
    SENDER,
    RECEIVER,
    SEQUENCE,
    POSITION,
    LIMIT_BATCHES,
    LIMIT_BYTES,
    NUMBERS
} number_t;

#define BIT(number) (1u << (number))
#define WHOSE (BIT (LINK) | BIT (SESSION) | BIT (SENDER) | BIT (RECEIVER))
#define LIMITS (BIT (LIMIT_BATCHES) | BIT (LIMIT_BYTES))

static const struct {
    const char *name;
    size_t member;
    size_t at; /*  in the header                                                            */
} numbers[NUMBERS] = {
    [LINK] = {"link", offsetof (resil__link_frame_t, link), 16},
    [SESSION] = {"session", offsetof (resil__link_frame_t, session), 24},
    [SENDER] = {"sender", offsetof (resil__link_frame_t, sender), 32},
    [RECEIVER] = {"receiver", offsetof (resil__link_frame_t, receiver), 40},
    [SEQUENCE] = {"sequence", offsetof (resil__link_frame_t, sequence), 48},
    [POSITION] = {"position", offsetof (resil__link_frame_t, position), 56},
    [LIMIT_BATCHES] = {"limit_batches", offsetof (resil__link_frame_t, limit_batches), 64},
    [LIMIT_BYTES] = {"limit_bytes", offsetof (resil__link_frame_t, limit_bytes), 72}};

typedef struct {
    const char *name;
    unsigned has;   /*  these fields                                                         */
    unsigned needs; /*  and of them these are not 0                                          */
    unsigned char reasons;
    unsigned char has_payload;
} type_t;

static const type_t types[RESIL__LINK_TYPES] = {
    [RESIL__LINK_HELLO] = {"HELLO", WHOSE | BIT (SEQUENCE) | BIT (POSITION),
                           (WHOSE & ~BIT (RECEIVER)) | BIT (SEQUENCE), 0, 0},
    [RESIL__LINK_WELCOME] = {"WELCOME", WHOSE | BIT (SEQUENCE) | LIMITS, WHOSE | BIT (SEQUENCE), 0,
                             0},
    [RESIL__LINK_DATA] = {"DATA", WHOSE | BIT (SEQUENCE) | BIT (POSITION), WHOSE | BIT (SEQUENCE),
                          0, 1},
    [RESIL__LINK_ACK] = {"ACK", WHOSE | BIT (SEQUENCE) | LIMITS, WHOSE, 0, 0},
    [RESIL__LINK_NACK] = {"NACK", WHOSE | BIT (SEQUENCE), BIT (LINK) | BIT (RECEIVER),
                          RESIL__LINK_RESEND, 0},
    [RESIL__LINK_PING] = {"PING", WHOSE | BIT (SEQUENCE), WHOSE | BIT (SEQUENCE), 0, 0},
    [RESIL__LINK_EOS] = {"EOS", WHOSE | BIT (SEQUENCE) | BIT (POSITION), WHOSE | BIT (SEQUENCE), 0,
                         0},
    [RESIL__LINK_BYE] = {"BYE", WHOSE, WHOSE & ~BIT (RECEIVER), RESIL__LINK_ABORTED, 0}};

static const type_t *type_of (unsigned type)
{
    return type < RESIL__LINK_TYPES && types[type].name ? &types[type] : NULL;
}

const char *resil__link_frame_name (unsigned type)
{
    const type_t *is = type_of (type);
    return is ? is->name : "unknown";
}

/*  ---- Numbers --------------------------------------------------------------------------------------- */

static uint64_t *number_of (resil__link_frame_t *frame, unsigned number)
{
    return (uint64_t *) (void *) ((char *) frame + numbers[number].member);
}

static uint64_t value_of (const resil__link_frame_t *frame, unsigned number)
{
    uint64_t value;
    memcpy (&value, (const char *) frame + numbers[number].member, sizeof value);
    return value;
}

/*  ---- What a frame must have ------------------------------------------------------------------------ */

static int check_number (const resil__link_frame_t *frame, const type_t *type, unsigned number,
                         unsigned needs)
{
    uint64_t value = value_of (frame, number);
    if (value == 0 && needs & BIT (number))
        return resil__refuse (EPROTO, "a frame %s has 0 as %s", type->name, numbers[number].name);
    if (value > RESIL__LINK_NUMBER_MAX)
        return resil__refuse (EPROTO, "a frame %s has %llu as %s; at most 2^62 is allowed",
                              type->name, (unsigned long long) value, numbers[number].name);
    return 0;
}

static int check_reason (const resil__link_frame_t *frame, const type_t *type)
{
    if (type->reasons ? frame->reason >= 1 && frame->reason <= type->reasons : frame->reason == 0)
        return 0;
    return resil__refuse (EPROTO, "a frame %s has %u as its reason", type->name, frame->reason);
}

static int check_payload (const resil__link_frame_t *frame, const type_t *type)
{
    if (frame->size > (type->has_payload ? RESIL__LINK_PAYLOAD_MAX : 0))
        return resil__refuse (EPROTO, "a frame %s has a payload of %zu bytes; %zu are allowed",
                              type->name, frame->size,
                              type->has_payload ? RESIL__LINK_PAYLOAD_MAX : 0);
    if (type->has_payload && frame->count == 0)
        return resil__refuse (EPROTO, "a frame %s has no records", type->name);
    return 0;
}

int resil__link_frame_check (const resil__link_frame_t *frame)
{
    const type_t *type = type_of (frame->type);
    if (!type)
        return resil__refuse (EPROTO, "there is no frame of type %u", frame->type);
    if (check_reason (frame, type) != 0 || check_payload (frame, type) != 0)
        return -1;
    /*  Who asks who it is that sends knows nobody yet. */
    unsigned needs = type->needs;
    if (frame->type == RESIL__LINK_NACK && frame->reason == RESIL__LINK_RESEND)
        needs = WHOSE | BIT (SEQUENCE);
    for (unsigned number = 0; number < NUMBERS; number++)
        if (type->has & BIT (number) && check_number (frame, type, number, needs) != 0)
            return -1;
    return 0;
}

/*  ---- Writing --------------------------------------------------------------------------------------- */

/*  Of all but itself. */
static uint32_t crc_of (const unsigned char *header, const void *payload, size_t size)
{
    uint32_t crc = resil__crc32c (0, header, AT_CRC);
    crc = resil__crc32c (crc, header + AT_CRC + 4, RESIL__LINK_HEADER - AT_CRC - 4);
    return resil__crc32c (crc, payload, size);
}

size_t resil__link_frame_size (const resil__link_frame_t *frame)
{
    return RESIL__LINK_HEADER + frame->size;
}

bool resil__link_frame_encode_header (const resil__link_frame_t *frame,
                                      unsigned char header[RESIL__LINK_HEADER])
{
    if (resil__link_frame_check (frame) != 0)
        return false;
    const type_t *type = type_of (frame->type);
    memset (header, 0, RESIL__LINK_HEADER);
    header[0] = MAGIC_0;
    header[1] = MAGIC_1;
    header[AT_VERSION] = RESIL__LINK_PROTOCOL;
    header[AT_TYPE] = frame->type;
    header[AT_REASON] = frame->reason;
    if (type->has_payload)
        resil__number_put (header + AT_COUNT, frame->count, 4);
    for (unsigned number = 0; number < NUMBERS; number++)
        if (type->has & BIT (number))
            resil__number_put (header + numbers[number].at, value_of (frame, number), 8);
    resil__number_put (header + AT_SIZE, frame->size, 8);
    resil__number_put (header + AT_CRC, crc_of (header, frame->payload, frame->size), 4);
    return true;
}

size_t resil__link_frame_encode (const resil__link_frame_t *frame, void *bytes, size_t room)
{
    size_t size = resil__link_frame_size (frame);
    if (size > room || !resil__link_frame_encode_header (frame, bytes))
        return 0;
    if (frame->size)
        memcpy ((unsigned char *) bytes + RESIL__LINK_HEADER, frame->payload, frame->size);
    return size;
}

/*  ---- Reading --------------------------------------------------------------------------------------- */

/*  Is it one frame, whole and as it was sent? */
static int check_bytes (const unsigned char *at, size_t size)
{
    if (size < RESIL__LINK_HEADER)
        return resil__refuse (EPROTO, "a frame of %zu bytes is shorter than its header of %u", size,
                              RESIL__LINK_HEADER);
    if (at[0] != MAGIC_0 || at[1] != MAGIC_1)
        return resil__refuse (EPROTO, "what came is no frame of a link: it begins with 0x%02x%02x",
                              at[0], at[1]);
    if (at[AT_VERSION] != RESIL__LINK_PROTOCOL)
        return resil__refuse (EPROTO,
                              "version %u of the link protocol is spoken there; here it is %d",
                              at[AT_VERSION], RESIL__LINK_PROTOCOL);
    uint64_t payload = resil__number_get (at + AT_SIZE, 8);
    if (payload != size - RESIL__LINK_HEADER)
        return resil__refuse (EPROTO, "a frame says that its payload has %llu bytes; %zu are there",
                              (unsigned long long) payload, size - RESIL__LINK_HEADER);
    if (resil__number_get (at + AT_CRC, 4) != crc_of (at, at + RESIL__LINK_HEADER, payload))
        return resil__refuse (EPROTO, "a frame is not as it was sent: its CRC is another");
    return 0;
}

int resil__link_frame_decode (resil__link_frame_t *frame, const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    memset (frame, 0, sizeof *frame);
    if (check_bytes (at, size) != 0)
        return -1;
    frame->type = at[AT_TYPE];
    const type_t *type = type_of (frame->type);
    if (!type)
        return 0;
    frame->reason = at[AT_REASON];
    if (type->has_payload)
        frame->count = (uint32_t) resil__number_get (at + AT_COUNT, 4);
    for (unsigned number = 0; number < NUMBERS; number++)
        if (type->has & BIT (number))
            *number_of (frame, number) = resil__number_get (at + numbers[number].at, 8);
    frame->size = size - RESIL__LINK_HEADER;
    if (frame->size)
        frame->payload = at + RESIL__LINK_HEADER;
    return resil__link_frame_check (frame) == 0 ? 1 : -1;
}
