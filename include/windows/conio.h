/* SPDX-License-Identifier: BSD-3-Clause */
/* Keys of the console without waiting for Enter. The terminal is as before after each call. */
#ifndef NPF_CONIO_H
#define NPF_CONIO_H

#ifdef __cplusplus
extern "C" {
#endif

int _kbhit(void);  /* is there a key? No at the end of a redirected input */
int _getch(void);  /* the next key, without an echo; -1 at the end of a redirected input */
int _getche(void); /* with one */
int _putch(int character);

#define kbhit  _kbhit
#define getch  _getch
#define getche _getche
#define putch  _putch

#ifdef __cplusplus
}
#endif
#endif
