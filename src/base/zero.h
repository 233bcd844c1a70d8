/* SPDX-License-Identifier: Apache-2.0
 * Zeros over a struct of known size on a hot path. memset of such a size may become "rep stos", which takes dozens of cycles to
 * start; here it is stores of 16 bytes. */
#ifndef CF_BASE_ZERO_H
#define CF_BASE_ZERO_H

#include <stddef.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* n is known to the compiler and 16 or more. */
static inline __attribute__((always_inline)) void cf_zero(void *at, size_t n)
{
#ifdef __SSE2__
    char *p = at;
    __m128i zero = _mm_setzero_si128();

    __asm__("" : "+x"(zero)); /* not to be told from a value: a loop of zeros would be made memset again */
    for (size_t i = 0; i + 64 <= n; i += 64) {
        _mm_storeu_si128((__m128i *)(void *)(p + i), zero);
        _mm_storeu_si128((__m128i *)(void *)(p + i + 16), zero);
        _mm_storeu_si128((__m128i *)(void *)(p + i + 32), zero);
        _mm_storeu_si128((__m128i *)(void *)(p + i + 48), zero);
    }
    for (size_t i = n & ~(size_t)63; i + 16 <= n; i += 16)
        _mm_storeu_si128((__m128i *)(void *)(p + i), zero);
    if (n % 16)
        _mm_storeu_si128((__m128i *)(void *)(p + n - 16), zero); /* overlaps the one before it */
#else
    memset(at, 0, n);
#endif
}

#endif
