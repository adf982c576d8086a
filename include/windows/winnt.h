/* SPDX-License-Identifier: BSD-3-Clause */
/* Part of windows.h. */
#ifndef NPF_WINNT_H
#define NPF_WINNT_H

#include "windows.h"

#endif
