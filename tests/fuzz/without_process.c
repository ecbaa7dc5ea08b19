/*  What the parsers' lower layers want of the rest of the library, for a fuzzer that is built of a few files.

    SPDX-License-Identifier: Apache-2.0 */
#include "foundation/process.h"

bool resil__process_has_cores (void)
{
    return true;
}
