/* SPDX-License-Identifier: BSD-3-Clause */
/* The clock of the multimedia extensions. */
#ifndef NPF_MMSYSTEM_H
#define NPF_MMSYSTEM_H

#include "windows.h"

#define timeGetTime        GetTickCount
#define timeBeginPeriod(n) ((void)(n), 0)
#define timeEndPeriod(n)   ((void)(n), 0)

#endif
