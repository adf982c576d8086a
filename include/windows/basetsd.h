/* SPDX-License-Identifier: BSD-3-Clause */
/* Part of windef.h. */
#ifndef NPF_BASETSD_H
#define NPF_BASETSD_H

#include "windef.h"

#endif
