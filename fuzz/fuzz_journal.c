/* SPDX-License-Identifier: Apache-2.0
 * Cutting journal entries: a block lies within the text, and what follows it does not change it (a line that is no
 * field looks nine bytes ahead, for a length). */
#include <stdint.h>
#include <stdlib.h>

#include "normalise/journal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *p = (const char *)data;
    size_t at = 0;

    while (at < size) {
        size_t len = cf_journal_block(p + at, size - at);
        if (len == SIZE_MAX)
            break;
        if (len > size - at)
            abort();
        if (len && cf_journal_block(p + at, size - at < len + 9 ? size - at : len + 9) != len)
            abort();
        at += len + 1;
    }
    return 0;
}
