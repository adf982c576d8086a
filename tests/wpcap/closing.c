/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ends that programs made for libpcap come to: a signal handler closes the capture that it interrupts,
 * or jumps out of it; a thread that reads is cancelled. Linked with libpcap, for differential.sh. Each
 * round has a process of its own, and is interrupted a little later than the one before, wherever it
 * is; what it answers is the same everywhere.
 */
#include <errno.h>
#include <pcap/pcap.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define ROUNDS 12
#define STEP   400 /* us */
#define STUCK  100 /* s */
#define FRAMES 3
#define SIZE   100

static char errbuf[PCAP_ERRBUF_SIZE];
static pcap_t *p, *other;
static sigjmp_buf back;

static void see(u_char *user, const struct pcap_pkthdr *header, const u_char *data)
{
	(void)header;
	(void)data;
	++*(int *)user;
}

static void filter_own(void)
{
	struct bpf_program program;

	if (pcap_compile(p, &program, "ether proto 0x88b5", 1, 0) || pcap_setfilter(p, &program))
		printf("filter: %s\n", pcap_geterr(p));
	pcap_freecode(&program);
}

static void send_frames(int n)
{
	static const unsigned char frame[SIZE] = { 2, 0, 0, 0, 0, 10, 2, 0, 0, 0, 0, 1, 0x88, 0xb5 };

	for (int i = 0; i < n; i++) {
		if (pcap_inject(other, frame, SIZE) != SIZE)
			printf("inject: %s\n", pcap_geterr(other));
	}
}

static void interrupt(void (*handler)(int number), int round)
{
	struct itimerval after = { .it_value = { .tv_usec = 1 + round * STEP } };

	signal(SIGALRM, handler);
	setitimer(ITIMER_REAL, &after, NULL);
}

static void close_and_exit(int number)
{
	(void)number;
	pcap_close(p);
	_exit(7);
}

static void closed_in_a_handler(int round)
{
	int n = 0;

	interrupt(close_and_exit, round);
	for (;;)
		pcap_dispatch(p, -1, see, (u_char *)&n);
}

static void closed_amid_pcap_next_ex(int round)
{
	struct pcap_pkthdr *header;
	const u_char *data;

	interrupt(close_and_exit, round);
	for (;;)
		pcap_next_ex(p, &header, &data);
}

static void closed_while_it_sends(int round)
{
	interrupt(close_and_exit, round);
	for (;;)
		pcap_inject(p, errbuf, SIZE);
}

/* Does the signal interrupt a system call? Then that is gone back to, or has ended so. */
static int in_a_call(const ucontext_t *context)
{
#ifdef __x86_64__
	static const unsigned char call[] = { 0x0f, 0x05 };
	const greg_t *registers = context->uc_mcontext.gregs;
	const unsigned char *next = (const unsigned char *)(uintptr_t)registers[REG_RIP];

	return !memcmp(next, call, sizeof(call)) ||
	       (registers[REG_RAX] == -EINTR && !memcmp(next - sizeof(call), call, sizeof(call)));
#else
	(void)context;
	return 1;
#endif
}

/* Out of the wait, which is where it sleeps; it may not have come there yet. */
static void jump(int number, siginfo_t *info, void *context)
{
	const struct itimerval later = { .it_value = { .tv_usec = STEP } };

	(void)number;
	(void)info;
	if (in_a_call(context))
		siglongjmp(back, 1);
	setitimer(ITIMER_REAL, &later, NULL);
}

static void jump_soon(int round)
{
	const struct sigaction action = { .sa_sigaction = jump,
					  .sa_flags = SA_SIGINFO | SA_RESTART };
	const struct itimerval after = { .it_value = { .tv_usec = (round + 10) * STEP } };

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &after, NULL);
}

static void jumps_out(int round)
{
	struct pcap_stat stats;
	int n = 0;

	if (!sigsetjmp(back, 1)) {
		jump_soon(round);
		pcap_loop(p, 1, see, (u_char *)&n);
	}
	printf("stats %d\n", pcap_stats(p, &stats));
	send_frames(FRAMES);
	printf("loop %d\n", pcap_loop(p, FRAMES, see, (u_char *)&n));
	printf("%d packets\n", n);
	pcap_close(p);
}

static void *close_it(void *arg)
{
	pcap_close(p);
	return arg;
}

/* Who jumped out does not come back to the wait, whoever closes then. */
static void jumps_out_and_another_closes(int round)
{
	pthread_t thread;
	int n = 0;

	if (!sigsetjmp(back, 1)) {
		jump_soon(round);
		pcap_loop(p, 1, see, (u_char *)&n);
	}
	pthread_create(&thread, NULL, close_it, NULL);
	pthread_join(thread, NULL);
	printf("%d packets\n", n);
}

static void jump_out_of_callback(u_char *user, const struct pcap_pkthdr *header, const u_char *data)
{
	see(user, header, data);
	siglongjmp(back, 1);
}

static void jumps_out_of_a_callback(int round)
{
	static int n;

	(void)round;
	send_frames(1);
	if (!sigsetjmp(back, 1))
		pcap_loop(p, -1, jump_out_of_callback, (u_char *)&n);
	printf("%d packet\n", n);
	pcap_close(p);
}

static void *read_on(void *arg)
{
	pcap_loop(p, -1, see, arg);
	puts("the loop ended");
	return NULL;
}

static void cancelled(int round)
{
	pthread_t thread;
	void *result;
	int n = 0;

	pthread_create(&thread, NULL, read_on, &n);
	if (round % 2)
		send_frames(FRAMES);
	usleep((useconds_t)round * STEP);
	pthread_cancel(thread);
	pthread_join(thread, &result);
	printf("cancelled: %d\n", result == PTHREAD_CANCELED);
	pcap_close(p);
}

static void broken_and_closed(int round)
{
	pthread_t thread;
	int n = 0;

	pthread_create(&thread, NULL, read_on, &n);
	usleep((useconds_t)round * STEP);
	pcap_breakloop(p);
	pthread_join(thread, NULL);
	pcap_close(p);
}

static int run(void (*way)(int round), int round)
{
	pid_t pid;
	int status;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		p = pcap_open_live("va", SIZE, 1, 10, errbuf);
		other = pcap_open_live("vb", SIZE, 0, 10, errbuf);
		filter_own();
		way(round);
		exit(0);
	}
	for (int i = 0; i < STUCK * 1000; i++) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return status;
		usleep(1000);
	}
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	return status;
}

static void tell(const char *what, void (*way)(int round))
{
	printf("-- %s\n", what);
	for (int round = 0; round < ROUNDS; round++) {
		int status = run(way, round);

		if (WIFSIGNALED(status)) {
			printf("round %d: %s\n", round,
			       WTERMSIG(status) == SIGKILL ? "stuck" : "crashed");
			return;
		}
		printf("exit %d\n", WEXITSTATUS(status));
	}
}

int main(void)
{
	printf("library: %s\n", pcap_lib_version());
	tell("closed in a handler", closed_in_a_handler);
	tell("closed amid pcap_next_ex", closed_amid_pcap_next_ex);
	tell("closed while it sends", closed_while_it_sends);
	tell("jumps out", jumps_out);
	tell("jumps out and another closes", jumps_out_and_another_closes);
	tell("jumps out of a callback", jumps_out_of_a_callback);
	tell("cancelled", cancelled);
	tell("broken and closed", broken_and_closed);
	return 0;
}
