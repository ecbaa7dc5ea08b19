/*  The frames of the component protocol. A table says which fields each kind has, in their order; what writes, reads
    and measures them goes through it.

    SPDX-License-Identifier: Apache-2.0 */
#include "protocol/component.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "foundation/errmsg.h"
#include "foundation/number.h"

/*  The first byte of each frame. */
#define MAGIC 'r'

/*  ---- The table ------------------------------------------------------------------------------------- */

typedef enum { NONE = 0, U8, I32, U32, I64, U64, TEXT, BYTES } form_t;

/*  For a number its least and greatest value, where these are not all that its form can hold; for a text and for bytes
    how long they may be. */
typedef struct {
    const char *name;
    form_t form;
    size_t offset;
    int64_t least;
    int64_t most;
} field_t;

#define FIELDS_MAX 16

typedef struct {
    const char *name;
    field_t fields[FIELDS_MAX];
} kind_t;

#define AT(member) offsetof (resil__frame_t, member)
#define NUMBER(form, member)                                                                       \
    {                                                                                              \
#member, form, AT(member), 0, 0                                                            \
    }
#define RANGE(form, member, least, most)                                                           \
    {                                                                                              \
#member, form, AT(member), least, most                                                     \
    }
#define TEXT_OF(member, longest)                                                                   \
    {                                                                                              \
#member, TEXT, AT(member), 0, longest                                                      \
    }
#define BYTES_OF(member, longest)                                                                  \
    {                                                                                              \
#member, BYTES, AT(member), 0, longest                                                     \
    }
#define ERROR_OF(member)                                                                           \
    NUMBER (I32, member.code), NUMBER (U32, member.line),                                          \
        TEXT_OF (member.file, RESIL__FRAME_TEXT_MAX),                                              \
        TEXT_OF (member.text, RESIL__FRAME_TEXT_MAX),                                              \
        TEXT_OF (member.stack, RESIL__FRAME_STACK_MAX)
#define TIME_OF(member) RANGE (I64, member, RESIL_FOREVER, RESIL_LONGEST_MS)

static const kind_t kinds[] = {
    [RESIL__FRAME_HELLO] = {"HELLO", {TEXT_OF (hello.token, 255), NUMBER (U32, hello.pid)}},
    [RESIL__FRAME_READY] = {"READY", {{0}}},
    [RESIL__FRAME_PROGRESS] = {"PROGRESS", {TEXT_OF (progress.label, RESIL__FRAME_LABEL_MAX)}},
    [RESIL__FRAME_ERROR] = {"ERROR", {ERROR_OF (error.error)}},
    [RESIL__FRAME_ENDS] = {"ENDS",
                           {RANGE (U8, ends.how, RESIL__ENDS_COMPLETED, RESIL__ENDS_START_FAILED),
                            NUMBER (I32, ends.rc), ERROR_OF (ends.error)}},
    [RESIL__FRAME_SAVE] = {"SAVE",
                           {NUMBER (U64, save.ticket),
                            BYTES_OF (save.bytes, RESIL__FRAME_STATE_MAX)}},
    [RESIL__FRAME_EXTEND] = {"EXTEND", {RANGE (I64, extend.ms, 0, RESIL_LONGEST_MS)}},
    [RESIL__FRAME_WAITS] = {"WAITS", {RANGE (U8, waits.waits, 0, 1)}},
    [RESIL__FRAME_TAKE] = {"TAKE", {NUMBER (U64, take.up_to)}},
    [RESIL__FRAME_HANDLED] = {"HANDLED", {NUMBER (U64, handled.up_to)}},
    [RESIL__FRAME_KEPT] = {"KEPT", {NUMBER (U64, kept.mail)}},
    [RESIL__FRAME_FIND] = {"FIND",
                           {NUMBER (U64, find.ticket), TEXT_OF (find.path, RESIL__FRAME_PATH_MAX)}},
    [RESIL__FRAME_SEND] = {"SEND",
                           {NUMBER (U64, send.ticket), NUMBER (U64, send.to),
                            NUMBER (U32, send.tag), RANGE (U8, send.full, 0, 1),
                            TIME_OF (send.expires_ms), NUMBER (U64, send.mail),
                            BYTES_OF (send.bytes, RESIL__FRAME_MAIL_MAX)}},
    [RESIL__FRAME_CALL] = {"CALL",
                           {NUMBER (U64, call.ticket), NUMBER (U64, call.to),
                            NUMBER (U32, call.tag), TIME_OF (call.timeout_ms),
                            BYTES_OF (call.bytes, RESIL__FRAME_MAIL_MAX)}},
    [RESIL__FRAME_REPLY] = {"REPLY",
                            {NUMBER (U64, reply.ticket), NUMBER (U64, reply.mail),
                             NUMBER (U32, reply.tag),
                             BYTES_OF (reply.bytes, RESIL__FRAME_MAIL_MAX)}},
    [RESIL__FRAME_DROP] = {"DROP", {NUMBER (U64, drop.mail)}},
    [RESIL__FRAME_WATCH] = {"WATCH",
                            {NUMBER (U64, watch.ticket), NUMBER (U64, watch.whom),
                             NUMBER (U64, watch.context)}},
    [RESIL__FRAME_UNWATCH] = {"UNWATCH",
                              {NUMBER (U64, unwatch.ticket), NUMBER (U64, unwatch.whom)}},
    [RESIL__FRAME_START] =
        {"START",
         {TEXT_OF (start.name, RESIL__FRAME_NAME_MAX),
          TEXT_OF (start.supervisor, RESIL__FRAME_PATH_MAX),
          TEXT_OF (start.type, RESIL__FRAME_NAME_MAX), RANGE (U8, start.has_args, 0, 1),
          BYTES_OF (start.args, RESIL__FRAME_STATE_MAX), RANGE (U8, start.has_saved, 0, 1),
          BYTES_OF (start.saved, RESIL__FRAME_STATE_MAX), RANGE (U8, start.ready_required, 0, 1),
          TIME_OF (start.start_ms), TIME_OF (start.shutdown_ms), TIME_OF (start.hang_ms),
          NUMBER (U64, start.mailbox_messages), NUMBER (U64, start.mailbox_bytes),
          NUMBER (U64, start.address)}},
    [RESIL__FRAME_ACK] = {"ACK", {{0}}},
    [RESIL__FRAME_CANCEL] = {"CANCEL", {{0}}},
    [RESIL__FRAME_RELOAD] = {"RELOAD", {{0}}},
    [RESIL__FRAME_SAVED] = {"SAVED", {NUMBER (U64, saved.ticket)}},
    [RESIL__FRAME_MAIL] = {"MAIL",
                           {NUMBER (U64, mail.number),
                            RANGE (U8, mail.kind, RESIL_MESSAGE_CAST, RESIL_MESSAGE_TIMER),
                            NUMBER (U32, mail.tag), NUMBER (U64, mail.sender),
                            NUMBER (U32, mail.deliveries), NUMBER (I32, mail.code),
                            NUMBER (U64, mail.context),
                            BYTES_OF (mail.bytes, RESIL__FRAME_MAIL_MAX)}},
    [RESIL__FRAME_ANSWER] = {"ANSWER",
                             {NUMBER (U64, answer.ticket), NUMBER (I32, answer.error),
                              NUMBER (U64, answer.value),
                              TEXT_OF (answer.text, RESIL__FRAME_TEXT_MAX)}},
    [RESIL__FRAME_RESULT] = {"RESULT",
                             {NUMBER (U64, result.ticket), NUMBER (I32, result.error),
                              NUMBER (U32, result.tag), NUMBER (U64, result.sender),
                              BYTES_OF (result.bytes, RESIL__FRAME_MAIL_MAX)}}};

static const kind_t *kind_of (unsigned kind)
{
    return kind < sizeof kinds / sizeof *kinds && kinds[kind].name ? &kinds[kind] : NULL;
}

const char *resil__frame_name (unsigned kind)
{
    const kind_t *is = kind_of (kind);
    return is ? is->name : "unknown";
}

/*  ---- Numbers --------------------------------------------------------------------------------------- */

/*  Of a number; or of the length that goes before a text or bytes. */
static size_t width_of (form_t form)
{
    static const unsigned char widths[] = {
        [U8] = 1, [I32] = 4, [U32] = 4, [I64] = 8, [U64] = 8, [TEXT] = 2, [BYTES] = 4};
    return widths[form];
}

static uint64_t load (const void *member, form_t form)
{
    switch (form) {
    case U8:
        return *(const uint8_t *) member;
    case I32:
    case U32:
        return *(const uint32_t *) member;
    default:
        return *(const uint64_t *) member;
    }
}

static void store (void *member, form_t form, uint64_t value)
{
    switch (form) {
    case U8:
        *(uint8_t *) member = (uint8_t) value;
        break;
    case I32:
    case U32:
        *(uint32_t *) member = (uint32_t) value;
        break;
    default:
        *(uint64_t *) member = value;
    }
}

static bool is_in_range (const field_t *field, uint64_t value)
{
    if (field->least == 0 && field->most == 0)
        return true;
    int64_t is = field->form == I32 ? (int32_t) value : (int64_t) value;
    return is >= field->least && is <= field->most;
}

static bool is_long (const field_t *field)
{
    return field->form == TEXT || field->form == BYTES;
}

/*  A text is cut. */
static size_t length_of (const field_t *field, const resil__bytes_t *bytes)
{
    size_t most = (size_t) field->most;
    return field->form == TEXT && bytes->size > most ? most : bytes->size;
}

/*  ---- Writing --------------------------------------------------------------------------------------- */

size_t resil__frame_size (const resil__frame_t *frame)
{
    const kind_t *kind = kind_of (frame->kind);
    size_t size = RESIL__FRAME_HEADER;
    if (!kind)
        return 0;
    for (const field_t *field = kind->fields; field->form; field++) {
        const void *member = (const char *) frame + field->offset;
        size += width_of (field->form);
        if (!is_long (field))
            continue;
        size_t length = length_of (field, member);
        if (length > (size_t) field->most)
            return 0;
        size += length;
    }
    return size;
}

size_t resil__frame_encode (const resil__frame_t *frame, void *bytes, size_t room)
{
    size_t size = resil__frame_size (frame);
    unsigned char *at = bytes;
    if (size == 0 || size > room)
        return 0;
    at[0] = MAGIC;
    at[1] = RESIL__PROTOCOL;
    at[2] = frame->kind;
    at[3] = 0;
    resil__number_put (at + 4, 0, 4);
    resil__number_put (at + 8, frame->incarnation, 8);
    at += RESIL__FRAME_HEADER;
    for (const field_t *field = kinds[frame->kind].fields; field->form; field++) {
        const void *member = (const char *) frame + field->offset;
        size_t width = width_of (field->form);
        if (!is_long (field)) {
            resil__number_put (at, load (member, field->form), width);
            at += width;
            continue;
        }
        const resil__bytes_t *long_one = member;
        size_t length = length_of (field, long_one);
        resil__number_put (at, length, width);
        at += width;
        if (length)
            memcpy (at, long_one->at, length);
        at += length;
    }
    return size;
}

/*  ---- Reading --------------------------------------------------------------------------------------- */

/*  Where the next field is, or NULL with a sentence. */
static const unsigned char *read_field (resil__frame_t *frame, const field_t *field,
                                        const unsigned char *at, const unsigned char *end)
{
    const char *name = resil__frame_name (frame->kind);
    void *member = (char *) frame + field->offset;
    size_t width = width_of (field->form);
    if ((size_t) (end - at) < width) {
        resil__refuse (EPROTO, "a frame %s ends before its field %s", name, field->name);
        return NULL;
    }
    uint64_t value = resil__number_get (at, width);
    at += width;
    if (!is_long (field)) {
        store (member, field->form, value);
        if (is_in_range (field, value))
            return at;
        resil__refuse (EPROTO, "a frame %s has %lld as %s; from %lld to %lld is allowed", name,
                       (long long) value, field->name, (long long) field->least,
                       (long long) field->most);
        return NULL;
    }
    if ((size_t) (end - at) < value) {
        resil__refuse (EPROTO, "a frame %s ends within its field %s: of %llu bytes %zu are there",
                       name, field->name, (unsigned long long) value, (size_t) (end - at));
        return NULL;
    }
    if (field->form == BYTES && value > (uint64_t) field->most) {
        resil__refuse (EPROTO, "a frame %s has %llu bytes as %s; %lld are allowed", name,
                       (unsigned long long) value, field->name, (long long) field->most);
        return NULL;
    }
    resil__bytes_t *long_one = member;
    *long_one = (resil__bytes_t){at, (size_t) value};
    long_one->size = length_of (field, long_one);
    return at + value;
}

int resil__frame_decode (resil__frame_t *frame, const void *bytes, size_t size)
{
    const unsigned char *at = bytes, *end = at + size;
    memset (frame, 0, sizeof *frame);
    if (size < RESIL__FRAME_HEADER)
        return resil__refuse (EPROTO, "a frame of %zu bytes is shorter than its header of %u", size,
                              RESIL__FRAME_HEADER);
    if (at[0] != MAGIC)
        return resil__refuse (EPROTO, "what came is no frame: it begins with 0x%02x", at[0]);
    if (at[1] != RESIL__PROTOCOL)
        return resil__refuse (EPROTO,
                              "version %u of the component protocol is spoken there; here "
                              "it is %d",
                              at[1], RESIL__PROTOCOL);
    frame->kind = at[2];
    frame->incarnation = resil__number_get (at + 8, 8);
    const kind_t *kind = kind_of (frame->kind);
    if (!kind)
        return 0;
    at += RESIL__FRAME_HEADER;
    for (const field_t *field = kind->fields; field->form && at; field++)
        at = read_field (frame, field, at, end);
    return at ? 1 : -1;
}

/*  ---- Texts ----------------------------------------------------------------------------------------- */

resil__bytes_t resil__frame_text (const char *text)
{
    return (resil__bytes_t){text, text ? strlen (text) : 0};
}

char *resil__frame_string (resil__bytes_t text, char *string, size_t room)
{
    size_t length = text.size < room ? text.size : room - 1;
    if (length)
        memcpy (string, text.at, length);
    string[length] = 0;
    return string;
}
