/* SPDX-License-Identifier: Apache-2.0
 * Tables of wide.h. */
#include "normalise/wide.h"

#ifdef __SSSE3__
const uint8_t cf_wide_last[32] = {[16 ... 31] = 0xff};

/* Where the digits of four octets stand in 16 bytes that end with the address, by the octets' lengths; 0x80: no digit. */
#define DIGITS(n, end) 0x80, (n) > 2 ? (end) - 3 : 0x80, (n) > 1 ? (end) - 2 : 0x80, (end) - 1
#define ROW(a, b, c, d) {DIGITS(a, 13 - (d) - (c) - (b)), DIGITS(b, 14 - (d) - (c)), DIGITS(c, 15 - (d)), DIGITS(d, 16)}
#define BY_A(b, c, d) ROW(1, b, c, d), ROW(2, b, c, d), ROW(3, b, c, d)
#define BY_B(c, d) BY_A(1, c, d), BY_A(2, c, d), BY_A(3, c, d)
#define BY_C(d) BY_B(1, d), BY_B(2, d), BY_B(3, d)
const uint8_t cf_wide_octets[81][16] = {BY_C(1), BY_C(2), BY_C(3)};
#endif
