/* SPDX-License-Identifier: BSD-3-Clause */
/* The console as a screen: a terminal that knows the usual escape sequences. */
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/ioctl.h>

#include "windows.h"

/* Descriptor 0 as a handle would be NULL, which programs take for none: another one of it, kept. */
static int input(void)
{
	static int kept = -1;
	int fd = __atomic_load_n(&kept, __ATOMIC_ACQUIRE), none = -1;

	if (fd >= 0)
		return fd;
	fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (fd < 0 || __atomic_compare_exchange_n(&kept, &none, fd, false, __ATOMIC_ACQ_REL,
						  __ATOMIC_ACQUIRE))
		return fd;
	close(fd);
	return none;
}

HANDLE GetStdHandle(DWORD which)
{
	int fd;

	switch (which) {
	case STD_INPUT_HANDLE:
		fd = input();
		if (fd >= 0)
			return (HANDLE)(LONG_PTR)fd;
		break;
	case STD_OUTPUT_HANDLE:
		return (HANDLE)(LONG_PTR)STDOUT_FILENO;
	case STD_ERROR_HANDLE:
		return (HANDLE)(LONG_PTR)STDERR_FILENO;
	}
	SetLastError(ERROR_INVALID_HANDLE);
	return INVALID_HANDLE_VALUE;
}

static int descriptor(HANDLE console)
{
	return (int)(LONG_PTR)console;
}

/* After what the program printed before. */
static BOOL say(HANDLE console, const char *sequence)
{
	int fd = descriptor(console);
	size_t n = strlen(sequence);

	if (!isatty(fd))
		return FALSE;
	fflush(fd == STDERR_FILENO ? stderr : stdout);
	return write(fd, sequence, n) == (ssize_t)n;
}

BOOL GetConsoleScreenBufferInfo(HANDLE console, PCONSOLE_SCREEN_BUFFER_INFO info)
{
	struct winsize size;

	if (ioctl(descriptor(console), TIOCGWINSZ, &size))
		return FALSE;
	*info = (CONSOLE_SCREEN_BUFFER_INFO){
		.dwSize = { (SHORT)size.ws_col, (SHORT)size.ws_row },
		.wAttributes = FOREGROUND_RED | FOREGROUND_GREEN | FOREGROUND_BLUE,
		.srWindow = { 0, 0, (SHORT)(size.ws_col - 1), (SHORT)(size.ws_row - 1) },
		.dwMaximumWindowSize = { (SHORT)size.ws_col, (SHORT)size.ws_row },
	};
	return TRUE;
}

BOOL SetConsoleCursorPosition(HANDLE console, COORD position)
{
	char sequence[32];

	snprintf(sequence, sizeof(sequence), "\033[%d;%dH", position.Y + 1, position.X + 1);
	return say(console, sequence);
}

/* Red is the lowest bit there, blue is here. */
static int colour(WORD bits)
{
	return (bits & FOREGROUND_RED ? 1 : 0) | (bits & FOREGROUND_GREEN ? 2 : 0) |
	       (bits & FOREGROUND_BLUE ? 4 : 0);
}

BOOL SetConsoleTextAttribute(HANDLE console, WORD attributes)
{
	WORD back = (WORD)(attributes >> 4);
	char sequence[32];

	if (attributes == (FOREGROUND_RED | FOREGROUND_GREEN | FOREGROUND_BLUE))
		return say(console, "\033[0m");
	snprintf(sequence, sizeof(sequence), "\033[0;%d;%dm",
		 (attributes & FOREGROUND_INTENSITY ? 90 : 30) + colour(attributes),
		 back ? (back & FOREGROUND_INTENSITY ? 100 : 40) + colour(back) : 49);
	return say(console, sequence);
}

BOOL SetConsoleTitleA(LPCSTR title)
{
	char sequence[280];

	snprintf(sequence, sizeof(sequence), "\033]0;%.256s\007", title);
	return say(GetStdHandle(STD_OUTPUT_HANDLE), sequence);
}

/* ---- commands ------------------------------------------------------------------------------ */

/* Any key; with a redirected input its end, at once. */
#define PAUSE                                                                                      \
	"printf 'Press any key to continue . . . '; old=$(stty -g 2>/dev/null);"                   \
	"stty -icanon -echo 2>/dev/null; dd bs=1 count=1 >/dev/null 2>&1;"                         \
	"[ -z \"$old\" ] || stty \"$old\"; echo"

const char *npf_command(const char *command)
{
	static const struct {
		const char *theirs, *ours;
	} commands[] = {
		{ "pause", PAUSE },
		{ "cls", "printf '\\033[H\\033[2J'" },
	};

	for (size_t i = 0; command && i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (!strcasecmp(command, commands[i].theirs))
			return commands[i].ours;
	}
	return command;
}
