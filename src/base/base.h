/* SPDX-License-Identifier: Apache-2.0
 * base: knows nothing of security. One include for everything in this folder. */
#ifndef CF_BASE_BASE_H
#define CF_BASE_BASE_H
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/queue.h"
#include "base/str.h"
#include "base/yaml.h"
#endif
