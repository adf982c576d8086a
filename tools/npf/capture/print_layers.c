/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the layers of the packet printer share: the line, and the checks in front of every look at
 * a packet's bytes.
 */
#include "print_layers.h"
#include "ui/terminal.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <string.h>

void npf_line_clear(struct npf_line *line)
{
	line->length = 0;
	line->nested = 0;
	line->text[0] = '\0';
}

void npf_line_add(struct npf_line *line, const char *format, ...)
{
	size_t left = sizeof(line->text) - line->length;
	va_list arguments;
	int n;

	va_start(arguments, format);
	n = vsnprintf(line->text + line->length, left, format, arguments);
	va_end(arguments);
	if (n > 0)
		line->length += (size_t)n < left ? (size_t)n : left - 1;
}

bool npf_rest_holds(struct npf_line *line, struct npf_rest rest, uint32_t n, const char *name)
{
	if (rest.held >= n)
		return true;
	if (rest.length >= n)
		npf_line_add(line, "[|%s]", name);
	else
		npf_line_add(line, "[%s too short: %u byte%s]", name, rest.length,
			     npf_plural(rest.length));
	return false;
}

void npf_print_ip_address(char out[NPF_ADDRESS_TEXT], int version, const uint8_t *address)
{
	if (!inet_ntop(version == 6 ? AF_INET6 : AF_INET, address, out, NPF_ADDRESS_TEXT))
		strcpy(out, "?");
}

void npf_print_ends(struct npf_line *line, const struct npf_ends *ends)
{
	npf_line_add(line, "%s > %s: ", ends->source, ends->destination);
}
