#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The API behind the console's pages at demo size, and how fast the console itself comes up. CALLS and USERS may be set.
set -eu
exec node bench/api.mjs
