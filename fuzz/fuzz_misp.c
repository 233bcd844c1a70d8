/* SPDX-License-Identifier: Apache-2.0
 * MISP events and GB/T 36643 documents (dry run). */
#include "ti_import.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    import_all(size & 1 ? "misp" : "gbt", data, size);
    return 0;
}
