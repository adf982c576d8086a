/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The C compiler as an engine: one C statement for each instruction, labels for jumps, the check of
 * each load before it. What a good compiler makes of a program as it stands.
 */
#include <dlfcn.h>
#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine.h"
#include "filter/opcodes.h"

#define CC_PLACES 8u
#define CC_TEXT   0x10000u /* address of the first place, in its object */
#define CC_STEP   0x1240u  /* from one place to the next: other pages, other lines */

struct compiled {
	void *places[CC_PLACES];
};

static const char head[] = "#include <stdint.h>\n"
			   "#include <string.h>\n"
			   "static inline uint32_t b(const uint8_t *p) { return *p; }\n"
			   "static inline uint32_t h(const uint8_t *p)\n"
			   "{ uint16_t v; memcpy(&v, p, 2); return __builtin_bswap16(v); }\n"
			   "static inline uint32_t w(const uint8_t *p)\n"
			   "{ uint32_t v; memcpy(&v, p, 4); return __builtin_bswap32(v); }\n";

static const char *load_of(uint16_t code)
{
	return NPF_SIZE(code) == NPF_B ? "b" : NPF_SIZE(code) == NPF_H ? "h" : "w";
}

static unsigned int bytes_of(uint16_t code)
{
	return NPF_SIZE(code) == NPF_B ? 1 : NPF_SIZE(code) == NPF_H ? 2 : 4;
}

static void put_load(FILE *out, const struct npf_insn *insn)
{
	const char *to = NPF_CLASS(insn->code) == NPF_LDX ? "x" : "a";
	uint32_t k = insn->k;

	switch (NPF_MODE(insn->code)) {
	case NPF_ABS:
		fprintf(out, "if (%uull + %u > n) return 0; a = %s(p + %uu);", k,
			bytes_of(insn->code), load_of(insn->code), k);
		break;
	case NPF_IND:
		fprintf(out, "if ((uint64_t)x + %uu + %u > n) return 0; a = %s(p + x + %uu);", k,
			bytes_of(insn->code), load_of(insn->code), k);
		break;
	case NPF_MSH:
		fprintf(out, "if (%uull >= n) return 0; x = (p[%uu] & 15) * 4;", k, k);
		break;
	case NPF_MEM:
		fprintf(out, "%s = m[%u];", to, k);
		break;
	case NPF_LEN:
		fprintf(out, "%s = l;", to);
		break;
	default:
		fprintf(out, "%s = %uu;", to, k);
		break;
	}
}

static void put_operand(FILE *out, const struct npf_insn *insn)
{
	if (NPF_SRC(insn->code) == NPF_X)
		fputs("x", out);
	else
		fprintf(out, "%uu", insn->k);
}

static void put_arithmetic(FILE *out, const struct npf_insn *insn)
{
	static const char *const ops[] = { "+", "-", "*", "/", "|", "&", "<<", ">>", "", "%", "^" };
	uint16_t op = NPF_OP(insn->code);

	if (op == NPF_NEG) {
		fputs("a = -a;", out);
		return;
	}
	if (NPF_SRC(insn->code) == NPF_X && (op == NPF_DIV || op == NPF_MOD))
		fputs("if (!x) return 0; ", out);
	if (op == NPF_LSH || op == NPF_RSH) {
		fputs("a = ", out);
		put_operand(out, insn);
		fprintf(out, " > 31 ? 0 : a %s ", ops[op >> 4]);
	} else {
		fprintf(out, "a = a %s ", ops[op >> 4]);
	}
	put_operand(out, insn);
	fputs(";", out);
}

static void put_jump(FILE *out, const struct npf_insn *insn, uint32_t at)
{
	static const char *const ops[] = { "", "==", ">", ">=", "&" };

	if (NPF_OP(insn->code) == NPF_JA) {
		fprintf(out, "goto l%u;", at + 1 + insn->k);
		return;
	}
	fprintf(out, "if (a %s ", ops[NPF_OP(insn->code) >> 4]);
	put_operand(out, insn);
	fprintf(out, ") goto l%u; else goto l%u;", at + 1 + insn->jt, at + 1 + insn->jf);
}

static void put_insn(FILE *out, const struct npf_insn *insn, uint32_t at)
{
	fprintf(out, "l%u: ", at);
	switch (NPF_CLASS(insn->code)) {
	case NPF_LD:
	case NPF_LDX:
		put_load(out, insn);
		break;
	case NPF_ST:
	case NPF_STX:
		fprintf(out, "m[%u] = %s;", insn->k, NPF_CLASS(insn->code) == NPF_ST ? "a" : "x");
		break;
	case NPF_ALU:
		put_arithmetic(out, insn);
		break;
	case NPF_JMP:
		put_jump(out, insn, at);
		break;
	case NPF_RET:
		if (NPF_RVAL(insn->code) == NPF_A)
			fputs("return a;", out);
		else
			fprintf(out, "return %uu;", insn->k);
		break;
	default:
		fputs(insn->code == (NPF_MISC | NPF_TAX) ? "x = a;" : "a = x;", out);
		break;
	}
	fputs("\n", out);
}

static void put_function(FILE *out, const struct npf_program *program, unsigned int number)
{
	fprintf(out,
		"uint32_t f%u(const uint8_t *p, uint32_t l, uint32_t n)\n"
		"{\nuint32_t a = 0, x = 0, m[16] = {0};\n(void)m, (void)x, (void)a, (void)l;\n",
		number);
	for (uint32_t i = 0; i < program->length; i++)
		put_insn(out, &program->insns[i], i);
	fputs("}\n", out);
}

static bool run_compiler(const char *const arguments[])
{
	pid_t child = fork();
	int status;

	if (child < 0)
		err(1, "fork");
	if (!child) {
		execvp("gcc", (char **)(uintptr_t)arguments);
		_exit(127);
	}
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) && !WEXITSTATUS(status);
}

/* Functions begin on cache lines, as ours do. */
static bool compile(const char *source, const char *object)
{
	const char *const arguments[] = { "gcc",
					  "-O3",
					  "-march=native",
					  "-falign-functions=64",
					  "-w",
					  "-fPIC",
					  "-c",
					  "-o",
					  object,
					  source,
					  NULL };

	return run_compiler(arguments);
}

/* The same code at an address of its own, within its page too. NULL: it cannot be. */
static void *link_at(const char *folder, const char *object, unsigned int place)
{
	char shared[64], text[32];
	const char *const arguments[] = { "gcc", "-shared", text, "-o", shared, object, NULL };
	void *loaded = NULL;

	snprintf(shared, sizeof(shared), "%s/%u.so", folder, place);
	snprintf(text, sizeof(text), "-Wl,-Ttext=0x%x", CC_TEXT + CC_STEP * place);
	if (run_compiler(arguments))
		loaded = dlopen(shared, RTLD_NOW | RTLD_LOCAL);
	unlink(shared);
	return loaded;
}

static bool compile_in(struct compiled *compiled, const char *folder, const struct filter *filters,
		       unsigned int n)
{
	char source[64], object[64];
	bool made;
	FILE *out;

	snprintf(source, sizeof(source), "%s/filters.c", folder);
	snprintf(object, sizeof(object), "%s/filters.o", folder);
	out = fopen(source, "we");
	if (!out)
		err(1, "%s", source);
	fputs(head, out);
	for (unsigned int i = 0; i < n; i++)
		put_function(out, &filters[i].program, i);
	fclose(out);
	made = compile(source, object);
	for (unsigned int place = 0; place < CC_PLACES && made; place++) {
		compiled->places[place] = link_at(folder, object, place);
		made = compiled->places[place];
	}
	unlink(source);
	unlink(object);
	return made;
}

struct compiled *cc_compile(const struct filter *filters, unsigned int n)
{
	char folder[] = "/tmp/npf-bench-XXXXXX";
	struct compiled *compiled = calloc(1, sizeof(*compiled));
	bool made;

	if (!compiled || !mkdtemp(folder))
		err(1, "%s", folder);
	made = compile_in(compiled, folder, filters, n);
	rmdir(folder);
	if (made)
		return compiled;
	cc_free(compiled);
	return NULL;
}

uint32_t (*cc_function(const struct compiled *compiled, unsigned int place,
		       unsigned int i))(const uint8_t *, uint32_t, uint32_t)
{
	uint32_t (*function)(const uint8_t *, uint32_t, uint32_t);
	char name[16];
	void *symbol;

	snprintf(name, sizeof(name), "f%u", i);
	symbol = dlsym(compiled->places[place % CC_PLACES], name);
	memcpy(&function, &symbol, sizeof(function));
	return function;
}

void cc_free(struct compiled *compiled)
{
	if (!compiled)
		return;
	for (unsigned int i = 0; i < CC_PLACES && compiled->places[i]; i++)
		dlclose(compiled->places[i]);
	free(compiled);
}
