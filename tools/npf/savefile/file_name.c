/* SPDX-License-Identifier: BSD-3-Clause */
/* See file_name.h. */
#include "file_name.h"

#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

struct ending {
	const char *text;
	enum npf_kind kind;
};

static const struct ending packs[] = {
	{ ".gz", NPF_KIND_GZIP }, { ".zst", NPF_KIND_ZSTD }, { ".bz2", NPF_KIND_BZIP2 },
	{ ".xz", NPF_KIND_XZ },   { ".lz4", NPF_KIND_LZ4 },
};
static const struct ending forms[] = {
	{ ".pcap", NPF_KIND_PCAP },
	{ ".pcapng", NPF_KIND_PCAPNG },
	{ ".ntar", NPF_KIND_PCAPNG },
};
#define N_PACKS (sizeof(packs) / sizeof(packs[0]))
#define N_FORMS (sizeof(forms) / sizeof(forms[0]))

/* How the first *n characters of a name end; what ended them is taken off. */
static enum npf_kind take_ending(const char *name, size_t *n, const struct ending *endings,
				 size_t n_endings)
{
	for (size_t i = 0; i < n_endings; i++) {
		size_t length = strlen(endings[i].text);

		if (*n <= length || strncasecmp(name + *n - length, endings[i].text, length) != 0)
			continue;
		*n -= length;
		return endings[i].kind;
	}
	return NPF_KIND_OTHER;
}

struct npf_file_name npf_file_name_of(const char *name)
{
	size_t n = strlen(name);
	struct npf_file_name found;

	found.pack = take_ending(name, &n, packs, N_PACKS);
	found.form = take_ending(name, &n, forms, N_FORMS);
	return found;
}

bool npf_file_is_precious(int directory, const char *name)
{
	uint8_t bytes[NPF_KIND_BYTES];
	enum npf_kind kind = NPF_KIND_EMPTY;
	struct stat status;
	ssize_t n;
	int fd;

	if (fstatat(directory, name, &status, 0) || !S_ISREG(status.st_mode))
		return false;
	fd = openat(directory, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0) /* nobody can tell; whether it can be replaced will be seen */
		return false;
	n = read(fd, bytes, sizeof(bytes));
	close(fd);
	if (n > 0)
		kind = npf_kind_of(bytes, (size_t)n);
	return kind == NPF_KIND_TEXT || kind == NPF_KIND_OTHER;
}
