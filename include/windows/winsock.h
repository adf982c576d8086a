/* SPDX-License-Identifier: BSD-3-Clause */
/* The older name of winsock2.h. */
#ifndef NPF_WINSOCK_H
#define NPF_WINSOCK_H

#include "winsock2.h"

#endif
