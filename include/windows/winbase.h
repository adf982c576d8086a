/* SPDX-License-Identifier: BSD-3-Clause */
/* Part of windows.h. */
#ifndef NPF_WINBASE_H
#define NPF_WINBASE_H

#include "windows.h"

#endif
