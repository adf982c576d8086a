/* SPDX-License-Identifier: BSD-3-Clause */
/* See bpf_check.h: C text by way of a folder of its own and the compiler that cc is. */
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bpf_check.h"

extern char **environ;

/* The exit code, or a negative errno value. */
static int run(char *const *words, bool quiet)
{
	posix_spawn_file_actions_t actions;
	int err, status;
	pid_t pid;

	if (posix_spawn_file_actions_init(&actions))
		return -ENOMEM;
	if (quiet) {
		posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", 1, 0);
		posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
	}
	err = posix_spawnp(&pid, words[0], &actions, NULL, words, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (err)
		return -err;
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : -EINTR;
}

bool npf_has_compiler(void)
{
	char *words[] = { "cc", "--version", NULL };

	return run(words, true) == 0;
}

static int write_text(const struct npf_ir *ir, const char *path)
{
	size_t size = npf_ir_c_space(ir);
	char *text = malloc(size);
	FILE *file = text ? fopen(path, "we") : NULL;
	int err = 0;

	if (!file) {
		err = text ? -errno : -ENOMEM;
		free(text);
		return err;
	}
	npf_ir_to_c(ir, "filter", text, size);
	if (fputs(text, file) < 0)
		err = -EIO;
	if (fclose(file) && !err)
		err = -errno;
	free(text);
	return err;
}

static int load(const char *path, struct npf_compiled *compiled)
{
	compiled->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!compiled->library)
		return -ENOEXEC;
	*(void **)&compiled->run = dlsym(compiled->library, "filter");
	if (compiled->run)
		return 0;
	npf_compiled_free(compiled);
	return -ENOEXEC;
}

int npf_compile(const struct npf_ir *ir, struct npf_compiled *compiled)
{
	const char *place = getenv("TMPDIR");
	char folder[PATH_MAX / 2], source[PATH_MAX], library[PATH_MAX];
	char *words[] = { "cc", "-O1", "-w", "-shared", "-fPIC", "-o", library, source, NULL };
	int err;

	*compiled = (struct npf_compiled){ 0 };
	snprintf(folder, sizeof(folder), "%s/npf-bpf-XXXXXX", place && *place ? place : "/tmp");
	if (!mkdtemp(folder))
		return -errno;
	snprintf(source, sizeof(source), "%s/filter.c", folder);
	snprintf(library, sizeof(library), "%s/filter.so", folder);
	err = write_text(ir, source);
	if (!err)
		err = run(words, false);
	if (!err)
		err = load(library, compiled);
	unlink(source);
	unlink(library);
	rmdir(folder);
	return err > 0 ? -ENOEXEC : err;
}

void npf_compiled_free(struct npf_compiled *compiled)
{
	if (compiled->library)
		dlclose(compiled->library);
	*compiled = (struct npf_compiled){ 0 };
}
