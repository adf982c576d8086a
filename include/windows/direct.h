/* SPDX-License-Identifier: BSD-3-Clause */
/* Folders under the names they have on Windows. */
#ifndef NPF_DIRECT_H
#define NPF_DIRECT_H

#include <sys/stat.h>
#include <unistd.h>

#define _getcwd      getcwd
#define _chdir       chdir
#define _rmdir       rmdir
#define _mkdir(name) mkdir((name), 0777)

#endif
