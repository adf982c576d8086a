/* SPDX-License-Identifier: BSD-3-Clause */
/* See set_file.h. */
#include "expression/set_file.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 64
#define BLANKS         " \t\r\n\f\v"

struct reader {
	struct npf_set_file *file;
	const char *name;
	enum npf_set_kind kind;
	unsigned long line;
	char *error;
};

__attribute__((format(printf, 2, 3))) static int fail(const struct reader *reader,
						      const char *format, ...)
{
	char reason[NPF_ERROR_SIZE];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(reason, sizeof(reason), format, arguments);
	va_end(arguments);
	snprintf(reader->error, NPF_ERROR_SIZE, "%.100s:%lu: %.130s", reader->name, reader->line,
		 reason);
	return -EINVAL;
}

/* Room for one more entry of a list. */
static int reserve(const struct reader *reader, void *list, uint32_t n, size_t size)
{
	struct npf_set_file *file = reader->file;
	void **base = list, *larger;
	size_t capacity = file->capacity ? 2 * file->capacity : FIRST_CAPACITY;

	if (n < file->capacity)
		return 0;
	if (n == UINT32_MAX / 4)
		return fail(reader, "more entries than a set can have");
	larger = realloc(*base, capacity * size);
	if (!larger) {
		fail(reader, "out of memory");
		return -ENOMEM;
	}
	*base = larger;
	file->capacity = capacity;
	return 0;
}

/* ---- hosts and networks --------------------------------------------------------------------- */

static bool has_bits_behind(const struct npf_net *net)
{
	uint32_t bits = net->family == 4 ? 32 : 128;

	for (uint32_t bit = net->prefix; bit < bits; bit++) {
		if (net->address[bit / 8] >> (7 - bit % 8) & 1)
			return true;
	}
	return false;
}

static bool parse_number(const char *text, uint32_t most, uint32_t *value)
{
	uint32_t number = 0;
	size_t n = strspn(text, "0123456789");

	if (!n || n > 5 || text[n])
		return false;
	for (size_t i = 0; i < n; i++)
		number = number * 10 + (uint32_t)(text[i] - '0');
	*value = number;
	return number <= most;
}

static int take_net(struct reader *reader, char *text)
{
	struct npf_set_file *file = reader->file;
	struct npf_net net = { 0 };
	char *slash = strchr(text, '/');
	uint32_t prefix;
	int err;

	if (slash && reader->kind == NPF_SET_HOSTS)
		return fail(reader, "'%s' is a network; here stand hosts (--nets takes both)", text);
	if (slash)
		*slash = '\0';
	if (inet_pton(AF_INET, text, net.address) == 1)
		net.family = 4;
	else if (inet_pton(AF_INET6, text, net.address) == 1)
		net.family = 6;
	else
		return fail(reader, "'%s' is no IPv4 or IPv6 address", text);
	prefix = net.family == 4 ? 32 : 128;
	if (slash && !parse_number(slash + 1, prefix, &prefix))
		return fail(reader, "'%s' is no prefix length of %s/", slash + 1, text);
	net.prefix = (uint8_t)prefix;
	if (has_bits_behind(&net))
		return fail(reader, "%s has bits behind its prefix of %u", text, prefix);
	err = reserve(reader, &file->nets, file->set.n_nets, sizeof(net));
	if (err)
		return err;
	file->nets[file->set.n_nets++] = net;
	return 0;
}

/* ---- ports ---------------------------------------------------------------------------------- */

static int take_ports(struct reader *reader, char *text)
{
	struct npf_set_file *file = reader->file;
	char *dash = strchr(text, '-');
	uint32_t first, last;
	int err;

	if (dash)
		*dash = '\0';
	if (!parse_number(text, 65535, &first))
		return fail(reader, "'%s' is no port", text);
	last = first;
	if (dash && !parse_number(dash + 1, 65535, &last))
		return fail(reader, "'%s' is no port", dash + 1);
	if (first > last)
		return fail(reader, "the range %u-%u is empty", first, last);
	err = reserve(reader, &file->ports, file->set.n_ports, sizeof(*file->ports));
	if (err)
		return err;
	file->ports[file->set.n_ports++] = (struct npf_port_range){ (uint16_t)first,
								    (uint16_t)last };
	return 0;
}

/* ---- the file ------------------------------------------------------------------------------- */

static int take_line(struct reader *reader, char *line)
{
	char *text = line + strspn(line, BLANKS);
	size_t n;

	text[strcspn(text, "#")] = '\0';
	n = strcspn(text, BLANKS);
	if (!n)
		return 0;
	if (text[n] && text[n + strspn(text + n, BLANKS)])
		return fail(reader, "one entry a line, please");
	text[n] = '\0';
	return reader->kind == NPF_SET_PORTS ? take_ports(reader, text) : take_net(reader, text);
}

static int take_lines(struct reader *reader, FILE *stream)
{
	char *line = NULL;
	size_t size = 0;
	ssize_t n;
	int err = 0;

	while (!err && (n = getline(&line, &size, stream)) >= 0) {
		reader->line++;
		err = strlen(line) < (size_t)n ? fail(reader, "this is no text")
					       : take_line(reader, line);
	}
	free(line);
	if (!err && ferror(stream)) {
		snprintf(reader->error, NPF_ERROR_SIZE, "%.100s: cannot be read", reader->name);
		err = -EIO;
	}
	if (!err && !reader->file->set.n_nets && !reader->file->set.n_ports) {
		snprintf(reader->error, NPF_ERROR_SIZE, "%.100s: nothing is in it", reader->name);
		err = -EINVAL;
	}
	return err;
}

int npf_set_file_read(struct npf_set_file *file, const char *name, enum npf_set_kind kind,
		      char error[NPF_ERROR_SIZE])
{
	struct reader reader = { .file = file, .name = name, .kind = kind, .error = error };
	bool is_input = !strcmp(name, "-");
	FILE *stream = is_input ? stdin : fopen(name, "re");
	int err;

	memset(file, 0, sizeof(*file));
	if (!stream) {
		err = -errno;
		snprintf(error, NPF_ERROR_SIZE, "%.100s: %s", name, strerror(-err));
		return err;
	}
	err = take_lines(&reader, stream);
	if (!is_input)
		fclose(stream);
	if (err) {
		npf_set_file_free(file);
		return err;
	}
	file->set.nets = file->nets;
	file->set.ports = file->ports;
	return 0;
}

void npf_set_file_free(struct npf_set_file *file)
{
	free(file->nets);
	free(file->ports);
	memset(file, 0, sizeof(*file));
}
