/*  libFuzzer's way into the parser of requests, and of access lists: whatever the bytes, they are refused with a sentence or
    taken, and what was taken keeps its bounds. By tests/system/test_soak_requests.py.

    SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include <resil.h>

#include "monitor/access.h"
#include "monitor/request.h"
#include "supervisor/event_codec.h"

static void require (bool holds)
{
    if (!holds)
        abort ();
}

static void parse_request (const uint8_t *data, size_t size)
{
    resil__request_t request;
    if (resil__request_parse (&request, data, size))
        require (*resil_errmsg ());
    else {
        require (request.what < RESIL__DEEDS && *request.id &&
                 strlen (request.path) < RESIL__PATH_ROOM);
        require (request.limit >= 1 && request.limit <= RESIL__REPLY_LIMIT &&
                 request.timeout_us >= 0);
    }
    require (strlen (request.kept_id) < RESIL__ID_ROOM);
    resil__request_release (&request);
}

static void parse_list (const uint8_t *data, size_t size)
{
    resil__access_list_t list;
    char *text = strndup ((const char *) data, size);
    require (text);
    if (resil__access_parse (&list, "list", text))
        require (!list.grantees && *resil_errmsg ());
    for (size_t i = 0; i < list.count; i++)
        require (resil__key_is_valid (list.grantees[i].key) &&
                 list.grantees[i].role > RESIL__NO_ROLE);
    resil__access_list_release (&list);
    free (text);
}

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
    parse_request (data, size);
    parse_list (data, size);
    return 0;
}
