/* io/socket.h - what every TCP socket of weir has from the start: no waiting for more to send, and questions to a peer that is silent.
 *
 * A peer whose machine or network is gone says nothing any more. Where no deadline waits for him (a silent WebSocket, an idle connection
 * to a backend) the kernel asks: after idle_s, then three times more, 10 s apart (tcp(7)). Set on a listening socket, accepted ones inherit it. */
#ifndef WEIR_IO_SOCKET_H
#define WEIR_IO_SOCKET_H

#define SOCKET_BACKEND_IDLE_S 30
#define SOCKET_CLIENT_IDLE_S  120 /* each question wakes a phone's radio */

/* Of a unix socket nothing is changed. */
void socket_prepare(int fd, int idle_s);

#endif
