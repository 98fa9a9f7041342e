/* control/channel.h - how the supervisor and a worker process talk: messages of JSON over a socket pair, with descriptors.
 *
 * A message is an object with "type"; unknown types and members are passed over, because the two ends may be of different versions. A
 * message that is too long for a packet travels in a memory file. What the peer has no room for waits here, up to a bound; a peer
 * that leaves so much unread is as good as gone.
 *
 *   to a worker process                                       to the supervisor
 *   begin    {state?, events[]} + a descriptor of what was    hello    {version, manifest, tells_left}: which program this is
 *            last good, if anything: to start from
 *   socket   {address} + its descriptors; one each, then      bind     {seq, addresses[]}: wants these sockets
 *   bound    {seq, errors{address: text}}                     keep     {addresses[]}: needs no others any more
 *   reload   {seq}                                            ready    {generation, fingerprint}: serves
 *   reopen   {}: the logs                                     reloaded {seq, outcome, generation, fingerprint}
 *   drain    {upgrade}: finish, by which deadline             failed   {error}: cannot start, and why
 *   stop     {why}: now                                       pong     {}
 *   ping     {}                                               state    {sections}: the answer to freeze
 *   freeze   {}: hand over, and change nothing any more       upgrade  {seq}: was asked to
 *   resume   {}: the upgrade failed, go on
 *   upgraded {seq, outcome, ...}: the answer to upgrade       known    {sections}: what to hand over if it dies
 *   event    {level, event, members}: write this to the       left     {}: accepts nothing new, after drain {upgrade}
 *            event log                                         finishing {version, connections, ...}: what is left then
 *   older    {pid, ...}: what such a process has said of
 *            itself; {pid, ended}: it is no more */
#ifndef WEIR_CONTROL_CHANNEL_H
#define WEIR_CONTROL_CHANNEL_H

#include <jansson.h>
#include "io/loop.h"

#define CHANNEL_FDS_MAX   250 /* the kernel takes 253 (SCM_MAX_FD) */
#define CHANNEL_QUEUE_MAX 1024 /* messages */

/* Where a worker process finds its two descriptors. */
enum channel_place { CHANNEL_FD = 3, CHANNEL_CRASH_FD = 4 };

struct channel {
	struct loop *loop;
	int fd; /* -1: closed */
	struct event *readable, *writable;
	struct list queue; /* messages that wait for room */
	uint32_t queued;
	/* A message has come. fds: what is taken is replaced by -1, the rest is closed afterwards. May close the channel. */
	void (*on_message)(struct channel *c, const char *type, json_t *message, int *fds, uint32_t fd_n);
	/* The peer is gone; once. May close the channel. */
	void (*on_end)(struct channel *c);
	void *user;
};

/* The two ends, close-on-exec. False with errno. */
bool channel_pair(int fds[2]);
/* Takes fd. The callbacks are set before. */
void channel_open(struct channel *c, struct loop *l, int fd);
/* Delivers what has come, without waiting for the loop. */
void channel_read(struct channel *c);
/* Harmless when it is closed. What is queued is lost. */
void channel_close(struct channel *c);
/* Sends {"type": type, ...members}; takes members (an object, or NULL), not the descriptors. */
void channel_send(struct channel *c, const char *type, json_t *members, const int *fds, uint32_t fd_n);

#endif
