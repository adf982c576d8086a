/* SPDX-License-Identifier: BSD-3-Clause */
/* Generic text: narrow here. */
#ifndef NPF_TCHAR_H
#define NPF_TCHAR_H

#include "windows.h"

typedef TCHAR _TCHAR;

#define _T(text)    text
#define _TEXT(text) text

#define _tmain      main
#define _tprintf    printf
#define _ftprintf   fprintf
#define _stprintf   sprintf
#define _stprintf_s snprintf
#define _sntprintf  snprintf
#define _tscanf     scanf
#define _fgetts     fgets
#define _fputts     fputs
#define _tfopen     fopen
#define _tfopen_s   fopen_s
#define _tcslen     strlen
#define _tcscpy     strcpy
#define _tcscpy_s   strcpy_s
#define _tcsncpy    strncpy
#define _tcscat     strcat
#define _tcscat_s   strcat_s
#define _tcscmp     strcmp
#define _tcsncmp    strncmp
#define _tcsicmp    strcasecmp
#define _tcschr     strchr
#define _tcsrchr    strrchr
#define _tcsstr     strstr
#define _tcstok     strtok
#define _tcstok_s   strtok_r
#define _tcsdup     strdup
#define _tcstol     strtol
#define _tcstoul    strtoul
#define _ttoi       atoi
#define _ttol       atol
#define _tgetenv    getenv

#endif
