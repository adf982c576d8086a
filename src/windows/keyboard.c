/* SPDX-License-Identifier: BSD-3-Clause */
/* Keys without waiting for Enter. Where standard input is no terminal, bytes are taken as keys, and at
 * its end nobody presses any. */
#include <stdio.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "conio.h"

/* Make the terminal hand out keys at once; what it was is in *before. */
static int go_raw(struct termios *before)
{
	struct termios raw;

	if (tcgetattr(STDIN_FILENO, before))
		return -1;
	raw = *before;
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	return tcsetattr(STDIN_FILENO, TCSANOW, &raw);
}

int _kbhit(void)
{
	struct termios before;
	int raw = go_raw(&before), keys = 0;

	/* poll() would tell of the end, too. */
	if (ioctl(STDIN_FILENO, FIONREAD, &keys))
		keys = 0;
	if (!raw)
		tcsetattr(STDIN_FILENO, TCSANOW, &before);
	return keys > 0;
}

int _getch(void)
{
	struct termios before;
	unsigned char key;
	int raw, n;

	fflush(stdout);
	raw = go_raw(&before);
	n = (int)read(STDIN_FILENO, &key, 1);
	if (!raw)
		tcsetattr(STDIN_FILENO, TCSANOW, &before);
	return n == 1 ? key : -1;
}

int _putch(int character)
{
	putchar(character);
	fflush(stdout);
	return character;
}

int _getche(void)
{
	int key = _getch();

	return key < 0 ? key : _putch(key);
}
